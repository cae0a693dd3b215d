"""One class a runtime: loads a model folder (see peers_models) and answers in each of its ways.

Libraries are imported where they are used: one that is missing stops only its own class.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.peers_models import CONTEXT, DRAFTED, ModelFolder

THREADS = len(os.sched_getaffinity(0))
MATCHED = 2  # tokens of a suffix that prompt lookup looks for, where a runtime lets us choose


class Job(NamedTuple):
    """One prompt for one way of decoding."""

    way: str
    tokens: list[int]
    most: int  # tokens of the answer
    seed: int | None = None  # of the scene whose clip the prompt begins with


class Timed(NamedTuple):
    """An answer; `seconds` passed between its first delivery, of `first` tokens, and its last."""

    tokens: list[int]
    first: int
    seconds: float

    @classmethod
    def of(cls, deliveries: Iterable[Sequence[int]]) -> Timed:
        """Time an iterator that yields tokens as they are known."""
        tokens, first, began = list[int](), 0, 0.0
        for delivery in deliveries:
            if not tokens:
                first, began = len(delivery), time.perf_counter()
            tokens += delivery
        return cls(tokens, first, time.perf_counter() - began)


class Runtime(Protocol):
    version: str
    precision: str
    ways: tuple[str, ...]

    def answer(self, job: Job) -> Timed: ...


class XsdEdge:
    """Text with the target's decoder alone, clips with a whole session."""

    precision = "INT4"

    def __init__(self, folder: ModelFolder) -> None:
        self.version = version("xsd-edge")
        if folder.bundle is None:
            from benchmarks.peers_ours import TextAnswers

            self._answers: Any = TextAnswers(folder)
        else:
            from benchmarks.peers_ours import ClipAnswers

            self._answers = ClipAnswers(folder.bundle)
        self.ways = self._answers.ways

    def answer(self, job: Job) -> Timed:
        return Timed.of(round_.tokens for round_ in self._answers.rounds(job))


class Genai:
    precision = "INT4, the same graph"
    ways = ("plain", "n-gram")

    def __init__(self, folder: ModelFolder) -> None:
        import onnxruntime_genai as og

        self.version, self._og = og.__version__, og
        self._model = og.Model(str(folder.genai))

    def answer(self, job: Job) -> Timed:
        search = self._og.GeneratorParams(self._model)
        search.set_search_options(max_length=len(job.tokens) + job.most, do_sample=False)
        if job.way == "n-gram":
            search.set_speculative_options(ngram_size=MATCHED, max_draft_tokens=DRAFTED)
        generator = self._og.Generator(self._model, search)
        generator.append_tokens(np.asarray(job.tokens, np.int32))

        def deliveries() -> Iterable[Sequence[int]]:
            while not generator.is_done():
                generator.generate_next_token()
                yield generator.get_next_tokens()

        return Timed.of([int(token) for token in each] for each in deliveries())


class Transformers:
    precision = "bfloat16"

    def __init__(self, folder: ModelFolder) -> None:
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.version = transformers.__version__
        # No smaller model has these tokens: the assistant is the model's own lower half, which is
        # slow enough to be asked about text alone.
        assisted = () if folder.ends else ("assisted, early exit",)
        self.ways = ("plain", "prompt lookup", *assisted)
        self._torch = torch
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            folder.checkpoint, dtype=torch.bfloat16
        )
        self._model.generation_config.eos_token_id = list(folder.ends) or None
        self._exit = self._model.config.num_hidden_layers // 2

    def answer(self, job: Job) -> Timed:
        options: dict[str, Any] = {}
        if job.way == "prompt lookup":
            options = {"prompt_lookup_num_tokens": DRAFTED, "max_matching_ngram_size": MATCHED}
        elif job.way != "plain":
            options = {"assistant_early_exit": self._exit}
        arrivals = Arrivals()
        ids = self._torch.tensor([job.tokens])
        # Assisted decoding takes no streamer, so it calls back where every way does.
        found = self._model.generate(
            ids,
            attention_mask=self._torch.ones_like(ids),
            max_new_tokens=job.most,
            do_sample=False,
            stopping_criteria=[arrivals],
            **options,
        )
        return arrivals.timed(found[0, len(job.tokens) :].tolist(), len(job.tokens))


class Arrivals:
    """A stopping criterion of transformers that stops nothing and notes when tokens are known."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._times: list[float] = []

    def __call__(self, ids: Any, scores: Any, **unused: Any) -> Any:
        self._lengths.append(ids.shape[1])
        self._times.append(time.perf_counter())
        return ids.new_zeros(ids.shape[0], dtype=bool)

    def timed(self, tokens: list[int], prompt: int) -> Timed:
        first = max(1, self._lengths[0] - prompt)
        return Timed(tokens, first, self._times[-1] - self._times[0])


class LlamaCpp:
    precision = "Q4_1"
    ways = ("plain", "prompt lookup")

    def __init__(self, folder: ModelFolder) -> None:
        import llama_cpp
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

        self.version = llama_cpp.__version__

        def load(draft: Any) -> Any:
            return llama_cpp.Llama(
                str(folder.gguf), n_ctx=CONTEXT, n_threads=THREADS, verbose=False, draft_model=draft
            )

        lookup = LlamaPromptLookupDecoding(MATCHED, DRAFTED)
        self._models = {"plain": load(None), "prompt lookup": load(lookup)}

    def answer(self, job: Job) -> Timed:
        model = self._models[job.way]
        model.reset()
        said = model.generate(job.tokens, temp=0.0, repeat_penalty=1.0)
        return Timed.of([token] for token, _ in zip(said, range(job.most), strict=False))


class OpenVino:
    precision = "Q4_1 weights"
    ways = ("plain", "prompt lookup")

    def __init__(self, folder: ModelFolder) -> None:
        import openvino
        import openvino_genai

        self.version = str(openvino_genai.__version__).split("-")[0]
        self._genai, self._tensor = openvino_genai, openvino.Tensor
        # Left to itself it computes in bfloat16 here, which is a third slower.
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": THREADS,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._pipes = {
            way: openvino_genai.LLMPipeline(str(folder.gguf), "CPU", **settings, **extra)
            for way, extra in (("plain", {}), ("prompt lookup", {"prompt_lookup": True}))
        }

    def answer(self, job: Job) -> Timed:
        genai = self._genai
        config = genai.GenerationConfig(
            max_new_tokens=job.most, do_sample=False, ignore_eos=True, apply_chat_template=False
        )
        if job.way == "prompt lookup":
            config.num_assistant_tokens, config.max_ngram_size = DRAFTED, MATCHED
        times: list[tuple[float, int]] = []

        class Listener(genai.StreamerBase):  # type: ignore[misc]  # openvino_genai has no types
            def write(self, tokens: int | list[int]) -> Any:
                count = 1 if isinstance(tokens, int) else len(tokens)
                times.append((time.perf_counter(), count))
                return genai.StreamingStatus.RUNNING

            def end(self) -> None:
                pass

        ids = self._tensor(np.asarray([job.tokens], np.int64))
        found = self._pipes[job.way].generate(ids, config, Listener())
        return Timed(list(found.tokens[0]), times[0][1], times[-1][0] - times[0][0])


RUNTIMES: dict[str, Callable[[ModelFolder], Runtime]] = {
    "xsd-edge": XsdEdge,
    "onnxruntime-genai": Genai,
    "llama-cpp-python": LlamaCpp,
    "openvino-genai": OpenVino,
    "transformers": Transformers,
}
FOR_CLIPS = ("xsd-edge", "onnxruntime-genai", "transformers")


def load(name: str, folder: Path) -> Runtime:
    """Raises ImportError where the runtime is not installed."""
    return RUNTIMES[name](ModelFolder.read(folder))
