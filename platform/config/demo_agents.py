"""The agents of the cluster demonstration. Pure: the client of the demonstration reads them too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAgent:
    """An agent of the demonstration, and an example of what it is asked."""

    slug: str
    name: str
    capabilities: tuple[str, ...]
    instructions: str
    prompt: str


AGENTS = (
    DemoAgent(
        slug="summarizer",
        name="Summarizer",
        capabilities=("text.summarize",),
        instructions="Summarize the text of the user in one short sentence.",
        prompt="Agent nodes execute the runs that no connection waits for. If a node dies, another "
        "one continues its runs from the last checkpoint.",
    ),
    DemoAgent(
        slug="translator",
        name="Translator",
        capabilities=("translate.en-fr",),
        instructions="Translate the text of the user from English to French.",
        prompt="Good morning, where is the station?",
    ),
    DemoAgent(
        slug="classifier",
        name="Classifier",
        capabilities=("text.classify",),
        instructions="Say whether the text is positive or negative, and give one reason.",
        prompt="The delivery was late, but the product is wonderful.",
    ),
    DemoAgent(
        slug="writer",
        name="Writer",
        capabilities=("text.write", "text.summarize"),
        instructions="Write two friendly sentences about the subject of the user.",
        prompt="A lighthouse in winter.",
    ),
    DemoAgent(
        slug="explainer",
        name="Explainer",
        capabilities=("text.explain", "text.write"),
        instructions="Explain the word of the user in one sentence for a child.",
        prompt="Gravity",
    ),
)
