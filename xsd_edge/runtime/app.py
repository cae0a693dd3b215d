"""`xsd-edge run`: opens the bundle and the sources, lets everybody hear the answers, sums up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from xsd_edge import console
from xsd_edge.bundle import Bundle, ClipInfo
from xsd_edge.errors import SourceError, XsdEdgeError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.live.reconnect import connect
from xsd_edge.events.packet import Geometry
from xsd_edge.events.replay import ClipFolder, Replay
from xsd_edge.events.source import EventSource, Paced
from xsd_edge.machine import Machine
from xsd_edge.runtime.ahead import enough_cores
from xsd_edge.runtime.clocks import on_one_clock
from xsd_edge.runtime.engine_store import missing_engines
from xsd_edge.runtime.figures import Tally
from xsd_edge.runtime.lines import JsonLines, TextLines
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Pipeline
from xsd_edge.runtime.preflight import require_memory
from xsd_edge.runtime.recorder import Recorder, asked
from xsd_edge.runtime.report import Summary
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.view import LiveView
from xsd_edge.runtime.watch import Scene, Watcher, Watchers
from xsd_edge.video.frames import (
    ONE_CLOCK,
    ClockedFrames,
    FrameSource,
    RenderedFrames,
    TrackFrames,
    open_frames,
)

DEMO = "demo"  # the paired clip that the bundle ships


class Reading(NamedTuple):
    """Where a run's clips come from, and their frames."""

    reader: ClipReader | Replay
    frames: FrameSource


def run(options: RunOptions, listeners: Sequence[Watcher] = ()) -> None:
    """Answer until the source ends, `max_clips` is reached or the user interrupts; then sum up.

    `listeners` hear all of it, beside the terminal and the recording.
    """
    bundle = Bundle(options.bundle)
    if not options.force:
        require_memory(bundle, Machine())
    if warning := missing_engines(bundle):
        console.say(warning)
    recorder = Recorder(options.record, asked(options)) if options.record else None
    spec = str(bundle.named("demo_clip")) if options.camera == DEMO else options.camera
    with closing(
        connect(spec, console.say, reconnect=options.reconnect, wait_s=options.wait)
    ) as source:
        reading = _reading(source, bundle.manifest.clip, options, recorder)
        if not options.json:
            _say_first(source, reading.frames, options)
        with closing(reading.reader):
            session = Session(bundle)
            _answer_all(session, reading, source.geometry, options, recorder, listeners)


def frames_for(source: EventSource, options: RunOptions) -> ClockedFrames:
    """The frames that the options and the recording give the target."""
    if options.video is not None:
        return open_frames(options.video, compared=options.offset is None)
    if options.frames == "auto" and source.frames is not None:
        return TrackFrames(source.frames)
    return RenderedFrames(source.geometry)


def _reading(
    source: EventSource, clip: ClipInfo, options: RunOptions, recorder: Recorder | None
) -> Reading:
    """A recorded run is played again as it was, where this bundle's clips are like its own."""
    if isinstance(source, ClipFolder) and source.fits(clip.frames, clip.duration_us):
        own = source.has_frames and options.frames == "auto" and options.video is None
        replay = Replay(source, paced=not options.fast, frames=own)
        if own:
            if options.offset != 0:
                raise SourceError(f"the recorded run's {ONE_CLOCK}")
            return Reading(replay, replay)
        frames = frames_for(source, options)
        on_one_clock(source, frames, options)  # the replay reads the folder for itself
        return Reading(replay, frames)
    frames = frames_for(source, options)
    source = on_one_clock(source, frames, options)
    paced = source if source.live or options.fast else Paced(source)
    reader = ClipReader(
        paced,
        clip.duration_us,
        clip.frames,
        drop_late=not options.fast or source.live,
        dropped=recorder.dropped if recorder else None,
    )
    return Reading(reader, frames)


def _say_first(source: EventSource, frames: FrameSource, options: RunOptions) -> None:
    if frames.kind == "rendered":
        console.say(
            "No frame camera: the target sees pictures of the events, "
            "that is shape and motion, no colour."
        )
    if isinstance(source, ClipFolder):
        now = asked(options)
        other = [f"{key} {value!r}" for key, value in source.asked.items() if now[key] != value]
        if other:
            console.say(
                f"The recorded run had other options, and maybe answers: {', '.join(other)}."
            )


def _voice(options: RunOptions, tally: Tally) -> Watcher:
    if options.json:
        return JsonLines()
    terminal = console.screen()
    return TextLines() if terminal is None else LiveView(terminal, tally)


def _answer_all(
    session: Session,
    reading: Reading,
    geometry: Geometry,
    options: RunOptions,
    recorder: Recorder | None,
    listeners: Sequence[Watcher],
) -> None:
    reader, frames = reading
    summary, tally = Summary(), Tally()
    always = (recorder, tally) if recorder else (tally,)
    watcher = Watchers(*always, _voice(options, tally), *listeners)
    pipeline = Pipeline(session, reader, geometry, frames, options, watcher, ahead=enough_cores())
    clip, costs = session.manifest.clip, pipeline.costs
    scene = Scene(
        session.tokenizer,
        geometry,
        frames.kind,
        clip.duration_us,
        clip.frames,
        costs,
        reader.totals,
    )
    try:
        try:
            watcher.began(scene)
            for answer in pipeline.answers():
                summary.add(answer)
        finally:
            reader.close()  # the counts are final then
            watcher.ended()
    except XsdEdgeError:
        if summary.answered:
            _sum_up(summary, reader, recorder, options)
        raise
    except KeyboardInterrupt:
        _sum_up(summary, reader, recorder, options)
        raise
    _sum_up(summary, reader, recorder, options)


def _sum_up(
    summary: Summary, reader: ClipReader | Replay, recorder: Recorder | None, options: RunOptions
) -> None:
    recorded = {"clips_recorded": recorder.clips} if recorder else {}
    fields = summary.fields(reader.totals() | recorded)
    if options.json:
        console.data_json(fields)
    else:
        console.say("; ".join(f"{k} {v}" for k, v in fields["summary"].items()))
