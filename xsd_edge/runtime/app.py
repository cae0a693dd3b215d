"""`xsd-edge run`: opens the bundle and the sources, prints each answer as it comes, sums up."""

from __future__ import annotations

from pathlib import Path

from xsd_edge import console
from xsd_edge.bundle import Bundle
from xsd_edge.errors import XsdEdgeError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import EventSource, Paced, open_source
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Pipeline
from xsd_edge.runtime.report import Summary, answer_fields, answer_line
from xsd_edge.runtime.session import Session
from xsd_edge.video.frames import FrameSource, RenderedFrames, TrackFrames, VideoFrames

DEMO = "demo"  # the paired clip that the bundle ships


def run(options: RunOptions) -> None:
    """Answer until the source ends, `max_clips` is reached or the user interrupts; then sum up."""
    bundle = Bundle(options.bundle)
    spec = str(bundle.named("demo_clip")) if options.camera == DEMO else options.camera
    source = open_source(spec)
    try:
        frames = frames_for(source, options)
        if not options.json and frames.kind == "rendered":
            console.say(
                "No frame camera: the target sees pictures of the events, "
                "that is shape and motion, no colour."
            )
        session = Session(bundle)
        paced = source if source.live or options.fast else Paced(source)
        clip = bundle.manifest.clip
        reader = ClipReader(
            paced, clip.duration_us, clip.frames, drop_late=not options.fast or source.live
        )
        _answer_all(
            Pipeline(session, reader, source.geometry, frames, options), reader, options, frames
        )
    finally:
        source.close()


def frames_for(source: EventSource, options: RunOptions) -> FrameSource:
    """The frames that the options and the recording give the target."""
    if options.video is not None:
        return VideoFrames(Path(options.video))
    if options.frames == "auto" and source.frames is not None:
        return TrackFrames(source.frames)
    return RenderedFrames(source.geometry)


def _answer_all(
    pipeline: Pipeline, reader: ClipReader, options: RunOptions, frames: FrameSource
) -> None:
    summary = Summary()
    try:
        for answer in pipeline.answers():
            summary.add(answer)
            if options.json:
                console.data_json(answer_fields(answer) | {"frames": frames.kind})
            else:
                console.data(answer_line(answer))
    except XsdEdgeError:
        if summary.answered:
            _sum_up(summary, reader, options)
        raise
    except KeyboardInterrupt:
        _sum_up(summary, reader, options)
        raise
    else:
        _sum_up(summary, reader, options)
    finally:
        reader.close()


def _sum_up(summary: Summary, reader: ClipReader, options: RunOptions) -> None:
    reader.close()  # the counts are final then
    fields = summary.fields(reader.totals())
    if options.json:
        console.data_json(fields)
    else:
        console.say("; ".join(f"{k} {v}" for k, v in fields["summary"].items()))
