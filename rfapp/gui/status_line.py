"""One line that tells what runs and how fast."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from rfapp.gui.texts import filled
from rfapp.runtime import LivePipeline, LiveResult, Recording, Running, Sending
from rfapp.runtime.statistics import ProcessorUse

#: The figures of delay are those of so many last frames.
RECENT_FRAMES = 150


class StatusLine(QWidget):
    """Device and engine, rates, delay, dropped frames, use of the processor, faces. What does not fit a small window is
    left out, the least needed first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="statusLine")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(self.tr("Status"))
        self._faces = QLabel(objectName="faces")
        self._recording = QLabel(objectName="recording")
        self._device, self._rates, self._delay, self._dropped, self._size, self._processor = (
            QLabel(objectName="muted") for _ in range(6)
        )
        #: As they stand, from left to right.
        self._figures = (self._device, self._size, self._rates, self._delay, self._dropped, self._processor)
        #: From the least needed to the most needed.
        self._by_need = (self._size, self._dropped, self._processor, self._rates, self._device, self._delay)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 5, 14, 6)
        row.setSpacing(18)
        for label in self._figures:
            row.addWidget(label)
        row.addStretch(1)
        row.addWidget(self._recording)
        row.addWidget(self._faces)
        self._row = row
        self._counts_people = False
        self.setMinimumWidth(0)

    def text(self) -> str:
        """All that is said, for screen readers and tests."""
        labels = (*self._figures, self._recording, self._faces)
        return " · ".join(label.text() for label in labels if label.text())

    def show_pipeline(self, pipeline: LivePipeline, result: LiveResult | None) -> None:
        """Take the figures of *pipeline*; called a few times a second."""
        title, loading, statistics = pipeline.detector, pipeline.loading, pipeline.statistics
        if title is not None:
            device = f"{title.device} · {title.engine} {title.precision}"
        else:
            device = self.tr("Loading model…") if loading else ""
        if loading and title is not None:
            device += " · " + self.tr("loading {model}…").format(model=loading)
        self._device.setText(device)
        state = pipeline.state
        running = isinstance(state, Running)
        captured, detected = statistics.rates()
        if isinstance(state, Running) and not state.info.stills:
            what = self.tr("pictures") if state.info.live else self.tr("video")
            speed = pipeline.settings.source.speed
            if speed != 1 and not state.info.live:
                what += f" ×{speed:g}"
            self._rates.setText(
                filled(
                    self.tr("{what} {captured:.1f}/s · detection {detected:.1f}/s"),
                    what=what,
                    captured=captured,
                    detected=detected,
                )
            )
        else:
            self._rates.setText("")
        latency = statistics.latency(RECENT_FRAMES)
        if result is not None and result.stale and result.detections is not None and running:
            self._delay.setText(filled(self.tr("boxes {age:.1f} s old"), age=result.age_s))
        elif latency is not None and isinstance(state, Running) and not state.info.stills:
            self._delay.setText(
                self.tr("delay {median:.0f} ms (p95 {p95:.0f})").format(median=latency.median, p95=latency.p95)
            )
        elif result is not None and result.fresh:
            self._delay.setText(self.tr("detection {ms:.0f} ms").format(ms=result.detect_s * 1e3))
        else:
            self._delay.setText("")
        self._dropped.setText(self.tr("{count} dropped").format(count=statistics.dropped) if running else "")
        self._size.setText("" if result is None else f"{result.frame.width}×{result.frame.height}")
        self._show_use(statistics.processor)
        outgoing = self._recorded(pipeline.recording), self._sent(pipeline.sending)
        self._recording.setText(" · ".join(text for text in outgoing if text))
        self._counts_people = pipeline.settings.tracking.on
        self._faces.setText(self._count(result))
        self.setAccessibleDescription(self.text())
        self._fit()

    def _show_use(self, processor: ProcessorUse) -> None:
        share = processor.share()
        if share is None:
            return
        self._processor.setText(self.tr("CPU {percent:.0f} %").format(percent=100 * share))
        self._processor.setToolTip(
            filled(
                self.tr("rfapp uses {percent:.0f} % of this computer's processor: {cores:.1f} of {count} cores."),
                percent=100 * share,
                cores=processor.cores * share,
                count=processor.cores,
            )
        )

    def _recorded(self, recording: Recording | None) -> str:
        if recording is None:
            return ""
        minutes, seconds = divmod(int(recording.seconds), 60)
        text = f"● {minutes:02}:{seconds:02}"
        if recording.dropped:
            text += " · " + self.tr("{count} not recorded").format(count=recording.dropped)
        return text

    def _sent(self, sending: Sending | None) -> str:
        if sending is None:
            return ""
        # Without a name nothing was sent so far.
        return self.tr("sent to {device}").format(device=sending.device) if sending.device else self.tr("to be sent")

    def _count(self, result: LiveResult | None) -> str:
        if result is None or result.detections is None:
            return ""
        count = len(result.detections)
        faces = self.tr("1 face") if count == 1 else self.tr("{count} faces").format(count=count)
        if result.people is None or not self._counts_people:
            return faces
        people = self.tr("1 person so far") if result.people == 1 else self.tr("{count} people so far")
        return f"{faces} · " + people.format(count=result.people)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()
        super().resizeEvent(event)

    def _fit(self) -> None:
        labels = [label for label in self._by_need if label.text()]
        for label in self._by_need:
            label.setVisible(bool(label.text()))
        needed = sum(
            label.sizeHint().width() + self._row.spacing() for label in [*labels, self._recording, self._faces]
        )
        room = self.width() - 28
        for label in labels:
            if needed <= room:
                break
            label.hide()
            needed -= label.sizeHint().width() + self._row.spacing()
