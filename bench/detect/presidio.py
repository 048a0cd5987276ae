"""Presidio's pattern recognisers over lines, without a language model. Runs in the virtual environment that
`run.py --install` makes:  presidio.py LINES.jsonl FINDINGS.jsonl STATS.json
"""

import inspect
import json
import sys
import time

import presidio_analyzer.predefined_recognizers as predefined
import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, PatternRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

# Its e-mail recogniser would ask the network for the list of top-level domains; the list in the package is enough.
tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())


class Words(NlpEngine):
    """Words and nothing else: the context words of recognisers need these, names of people would need a model."""

    def __init__(self):
        self.words = spacy.blank("en")

    def load(self):
        pass

    def is_loaded(self):
        return True

    def process_text(self, text, language):
        doc = self.words(text)
        return NlpArtifacts([], doc, [token.idx for token in doc], [token.text.lower() for token in doc], self, language)

    def process_batch(self, texts, language, **_):
        for text in texts:
            yield text, self.process_text(text, language)

    def is_stopword(self, word, language):
        return self.words.vocab[word].is_stop

    def is_punct(self, word, language):
        return self.words.vocab[word].is_punct

    def get_supported_entities(self):
        return []

    def get_supported_languages(self):
        return ["en"]


def recognisers():
    """All of them, those of other countries too, for one language."""
    for _, kind in inspect.getmembers(predefined, inspect.isclass):
        if issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
            try:
                yield kind(supported_language="en")
            except Exception as error:  # a recogniser that needs more than patterns
                print(f"Presidio without {kind.__name__}: {error}", file=sys.stderr)
    # No pattern recogniser by its type, but it needs no model either.
    yield predefined.PhoneRecognizer(supported_language="en")


def main(lines, findings, stats):
    registry = RecognizerRegistry(recognizers=list(recognisers()), supported_languages=["en"])
    engine = AnalyzerEngine(registry=registry, nlp_engine=Words(), supported_languages=["en"])
    engine.analyze("warm up 4111 1111 1111 1111", language="en")
    size, began = 0, time.thread_time()
    with open(lines, encoding="utf-8") as read, open(findings, "w", encoding="utf-8") as write:
        for row in map(json.loads, read):
            text = row["text"]
            size += len(text.encode()) + 1
            for result in engine.analyze(text, language="en", score_threshold=0.4):
                start, end = len(text[: result.start].encode()), len(text[: result.end].encode())
                found = {"line": row["line"], "start": start, "end": end, "entity": result.entity_type, "score": result.score}
                write.write(json.dumps(found) + "\n")
    took = time.thread_time() - began
    entities = sorted({entity for recogniser in registry.recognizers for entity in recogniser.supported_entities})
    with open(stats, "w", encoding="utf-8") as write:
        json.dump({"entities": entities, "recognisers": len(registry.recognizers), "bytes": size, "cpu_s": took}, write)


main(*sys.argv[1:])
