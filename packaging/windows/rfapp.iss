; Inno Setup: installs for the user who runs it, without asking for an administrator.
; installers.py calls it with /DName, /DVersion, /DFolder (what PyInstaller made), /DIcon and /DOutput.

[Setup]
AppId={#Name}
AppName={#Name}
AppVersion={#Version}
AppPublisher=rfapp
PrivilegesRequired=lowest
DefaultDirName={autopf}\{#Name}
DefaultGroupName={#Name}
DisableProgramGroupPage=yes
OutputDir={#Output}
OutputBaseFilename={#Name}_{#Version}_amd64-setup
SetupIconFile={#Icon}
UninstallDisplayIcon={app}\rfapp-window.exe
LicenseFile={#Folder}\licences\README.txt
Compression=lzma2
SolidCompression=yes
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
ChangesAssociations=yes

[Files]
Source: "{#Folder}\*"; DestDir: "{app}"; Flags: recursesubdirs ignoreversion

[Icons]
Name: "{group}\{#Name}"; Filename: "{app}\rfapp-window.exe"

[Registry]
; "Open with" of videos and pictures; what opens them by default stays as the user has it.
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\shell\open\command"; ValueType: string; ValueData: """{app}\rfapp-window.exe"" ""%1"""; Flags: uninsdeletekey
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\SupportedTypes"; ValueType: string; ValueName: ".mp4"; ValueData: ""
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\SupportedTypes"; ValueType: string; ValueName: ".mkv"; ValueData: ""
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\SupportedTypes"; ValueType: string; ValueName: ".avi"; ValueData: ""
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\SupportedTypes"; ValueType: string; ValueName: ".jpg"; ValueData: ""
Root: HKCU; Subkey: "Software\Classes\Applications\rfapp-window.exe\SupportedTypes"; ValueType: string; ValueName: ".png"; ValueData: ""

[Run]
Filename: "{app}\rfapp-window.exe"; Description: "Start {#Name}"; Flags: nowait postinstall skipifsilent
