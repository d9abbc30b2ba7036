"""Phrases that ask something: about the choice, about DiffAgent, about the words of the field."""

import re

from diffagent_tools.chat.steps import IT, MODEL, Rules, Step, says
from retrieval.requests.nothing import asks_for_nothing

_FILE = (
    rf"(?:{IT}|the (?:file|model|lora|checkpoint|download|safetensors)(?: file)?"
    r"|th(?:is|at) (?:file|model|lora|checkpoint)|them)"
)
_PROGRAM = (
    r"(?:a1111|automatic1111|forge|comfy ?ui|webui|the webui|diffusers|python|stable diffusion|invoke(?:ai)?"
    r"|fooocus)"
)
_WHAT = (
    r"(?:(?:and |but |so )?(?:what(?:'s| is| are| does| do|'re)?|explain|tell me about|define|meaning of"
    r"|i don't know what|what exactly is)(?: an?| the| these| those)? )"
)
_MEANS = r"(?: (?:mean|do|model|models|thing|is|are|stand for|for|good for|again))*"


def _ask(topic: str, pattern: str) -> tuple[str, str]:
    return topic, pattern


_TOPICS = (
    _ask(
        "self",
        r"what can (?:you|i|it|this)(?: (?:do|say|ask|write|type|help)(?: here| with| for me| me with)?)?"
        r"|what (?:do|are) you(?: do(?: here)?| for)?|who (?:are you|made you|is this)"
        r"|what(?:'s| is) (?:this|diffagent|this (?:page|site|tool|thing|program|app)|it for|this for)"
        r"|how (?:does|do) (?:this|it|you|diffagent|the (?:page|tool))(?: (?:page|tool|thing|program))? work"
        r"|how (?:do|can|should) i (?:start|begin|use (?:this|you|the page|this (?:page|tool)))|where do i "
        r"start|what now"
        r"|what (?:do|should|can) i (?:do|say|write|type)(?: now| next| here)?|what next|are you (?:an? "
        r")?(?:ai|bot|"
        r"human|robot|chatgpt|gpt|language model|real)|can you help(?: me)?|how can you help(?: me)?|i need "
        r"help",
    ),
    _ask("lora", rf"{_WHAT}loras?{_MEANS}|what does lora mean|how (?:does|do) (?:a )?loras? work"),
    _ask("checkpoint", rf"{_WHAT}(?:checkpoints?|base models?){_MEANS}"),
    _ask(
        "lora or checkpoint",
        r"(?:what(?:'s| is) the )?difference between (?:an? )?(?:loras?|checkpoints?) and (?:an? )?(?:loras?"
        r"|checkpoints?)"
        r"|(?:an? )?lora or (?:an? )?checkpoint|how (?:is|are) (?:an? )?loras? different from (?:an? "
        r")?checkpoints?",
    ),
    _ask(
        "family",
        rf"{_WHAT}(?:sd ?1\.?5|sd ?xl|stable diffusion(?: 1\.5| xl)?|famil(?:y|ies)|pony|flux"
        rf"|illustrious){_MEANS}"
        r"|what(?:'s| is) the difference between sd ?1\.5 and sdxl|which (?:famil(?:y|ies)|base models) "
        r"(?:are there"
        r"|do you (?:have|know))|do you (?:have|know|support) (?:sdxl|flux|pony|sd ?3|illustrious)(?: "
        r"models)?",
    ),
    _ask("sampler", rf"{_WHAT}(?:sampler|sampling method|euler a|dpm\S*(?: 2m)?(?: karras)?|ddim){_MEANS}"),
    _ask("steps", rf"{_WHAT}(?:sampling )?steps{_MEANS}|how many steps(?: do i need| should i use| are "
    rf"good)?"),
    _ask("cfg", rf"{_WHAT}(?:cfg|cfg scale|guidance(?: scale)?){_MEANS}"),
    _ask("clip skip", rf"{_WHAT}clip ?skip{_MEANS}"),
    _ask("weight", rf"{_WHAT}(?:lora )?(?:weight|strength){_MEANS}"),
    _ask("negative prompt", rf"{_WHAT}negative(?: prompt)?s?{_MEANS}"),
    _ask("trigger words", rf"{_WHAT}trigger(?: words?)?s?{_MEANS}|do i need (?:the )?trigger words?"),
    _ask("seed", rf"{_WHAT}seed{_MEANS}|(?:use |set )?(?:the )?seed(?: to| of| is|:|=)? ?\d+|which seed(?: "
    rf"do i use)?"),
    _ask("vae", rf"{_WHAT}vae{_MEANS}|do i need (?:a|the) vae|which vae(?: do i (?:need|use))?"),
    _ask("safetensors", rf"{_WHAT}safetensors?(?: file)?{_MEANS}|is (?:it|the file|this|the download) "
    rf"safe(?: to (?:use|open))?"
         r"|(?:can|does) (?:it|the file) (?:have|contain) (?:a )?virus(?:es)?"),
    _ask(
        "install",
        rf"where (?:do|should|must|can|does|to) ?(?:i )?(?:put|save|place|copy|install|store|move|drop"
        rf"|go)(?: {_FILE})?"
        rf"(?: go)?(?: (?:in|into|for|on|to) (?:my )?{_PROGRAM})?|where does {_FILE} go"
        rf"|how (?:do|can|should|to) ?(?:i )?(?:install|use|load|run|add|set up|import)(?: {_FILE})?"
        rf"(?: (?:in|into|with|on) (?:my )?{_PROGRAM})?|which folder(?: (?:do i use|does it go in(?:to)?|is "
        rf"it))?"
        rf"|how (?:do|can) i (?:get|put|bring|paste|copy) (?:{_FILE}|the (?:prompt|settings|workflow)) (?:in"
        rf"|into|to) (?:my )?{_PROGRAM}"
        rf"|(?:get|put) (?:{_FILE}|the (?:prompt|settings)|a prompt) (?:in|into) (?:my )?{_PROGRAM}"
        rf"|(?:does|will|can) (?:it|this) (?:work|run) (?:with|in|on) {_PROGRAM}|how do i make (?:the|a|my) "
        rf"(?:picture|image)"
        r"(?: now| with it)?|i have (?:the|downloaded the|downloaded it)(?: file)?,? (?:and )?(?:now what"
        r"|what now)",
    ),
    _ask(
        "download",
        rf"(?:where|how) (?:do|can|could|to) ?(?:i )?(?:get|download|find|fetch) (?:{_FILE}|both|all of "
        rf"(?:it|them))"
        rf"|(?:can i )?download(?: {_FILE})?|(?:the )?(?:download )?(?:link|page|url)|(?:is there|give me"
        rf"|show me|send me)"
        r" (?:a|the) (?:download )?(?:link|page|url)(?: to it)?|(?:have you )?got (?:a|the) (?:link|page"
        r"|url)|where is (?:the|its) (?:file|page|link"
        r"|download)"
        r"|i want to download (?:it|this|that)",
    ),
    _ask(
        "size",
        rf"is (?:it|the file|this) (?:a )?(?:big|large|small|huge|heavy)(?: (?:file|download))?|how (?:big"
        rf"|large|heavy) (?:is|are) (?:{_FILE}|the files)|(?:what(?:'s| is) the )?(?:file"
        rf"|download) size"
        r"|how (?:many|much) (?:gb|mb|gigabytes|megabytes|disk(?: space)?|space|storage)(?: (?:is (?:it"
        r"|that)|do(?:es)? (?:it|i)"
        r" (?:need|take)))?|how long does (?:it|the download) take(?: to download)?",
    ),
    _ask(
        "memory",
        r"how much (?:vram|memory|ram|gpu memory|graphics memory)(?: (?:do i need|does (?:it|this|that) "
        r"(?:need|take|use)"
        r"|is needed))?|(?:do|will) i need (?:a |an )?(?:good |strong |fast |big |expensive |special "
        r")?(?:gpu|graphics card|pc|computer)(?: for (?:it"
        r"|this|that))?"
        r"|(?:does|will|can|would) (?:it|this|that|i)(?: model)? (?:run|work)(?: it| this)? (?:on|with"
        r"|without) (?:my |a |an )?[\w ]{2,40}"
        r"|(?:what|which) (?:hardware|gpu|graphics card|computer|pc)(?: do i need| is needed)?"
        r"|(?:is|will) my (?:pc|computer|laptop|gpu|graphics card|mac)(?: be)? (?:good|fast|strong|big) "
        r"enough"
        r"|(?:is|are) \d+ ?gb(?: of)?(?: vram| ram| memory)? enough",
    ),
    _ask(
        "privacy",
        r"(?:do|does|will|can) (?:you|it|this|anyone|anybody|somebody|diffagent|the page) (?:store|save|keep"
        r"|remember|log|send|share|read|see|record|track|spy on)"
        r"(?: (?:my|the|any|what) .{0,60}| it| me| this)?|is (?:it|this|that) (?:private|anonymous|online"
        r"|offline|local)"
        r"|where (?:do|does|are) my (?:prompts?|words|data|requests)(?: go| stored| saved)?|are my "
        r"(?:prompts?|words|requests) (?:saved|stored|private)"
        r"|(?:does|do) (?:it|this|you) (?:need|use|go to) (?:the )?internet|are you (?:saving|storing"
        r"|keeping|logging|recording|reading|tracking|sending|sharing) .{1,60}|who (?:can|could|will) (?:see"
        r"|read) .{1,50}|privacy|what about (?:my "
        r")?(?:privacy|data)",
    ),
    _ask(
        "sources",
        r"where (?:do|does|did) (?:the|these|those|your|you) ?(?:models?|data|names|information|it|get)?(?: "
        r"come from| get .{0,40}| from| find .{0,30})"
        r"|where are (?:these|the|those|your) (?:models?|loras?|checkpoints?) from"
        r"|how many (?:models?|loras?|checkpoints?) (?:do you (?:know|have)|are there|does it (?:know|have))"
        r"|(?:what|which) (?:models?|loras?|checkpoints?|styles) (?:do you (?:know|have)|are there|can i "
        r"(?:get|choose))"
        r"|how (?:old|new|current|recent|up to date) (?:is|are) (?:it|this|that|the (?:models?|data"
        r"|catalogue|list))|(?:what are )?(?:your )?sources"
        r"|(?:which|what)(?: is the)? catalogue|how do you (?:choose|pick|decide|know|select|find)(?: "
        r".{0,40})?|who made (?:the )?models"
        r"|(?:is|are) (?:it|the models|they) (?:from )?(?:civitai|up to date|real)|do these models exist",
    ),
    _ask(
        "pictures",
        r"(?:can|could|will|do|would) you (?:also )?(?:draw|make|paint|generate|show|create|render"
        r"|produce)(?: me)?(?: it| them| this| that"
        r"| (?:the|a|an|some|my|any)? ?(?:example |sample |preview )?(?:pictures?|images?|photos?|previews?"
        r"|examples?|samples?))?(?: now| "
        r"for me| yourself)?"
        r"|where(?:'s| is| are) (?:the|my) (?:pictures?|images?|results?)|(?:show me|give me|make|generate"
        r"|let me see) (?:the|an?|some) "
        r"(?:pictures?|images?|previews?|examples?|samples?)|why (?:is|are) there no (?:pictures?|images?)"
        r"|(?:generate|render|make|draw|create)(?: it)?(?: now)?|i (?:don't|do not|can't|cannot) see (?:a"
        r"|any|the) (?:pictures?|images?)",
    ),
    _ask("cost", r"is (?:it|this|that|diffagent|the model)(?: really)? (?:free|gratis)(?: (?:to use|of "
    r"charge|for me))?|(?:how much|what) "
    r"does (?:it|this) cost"
         r"|do i (?:have|need) to (?:pay|register|sign up|log in)(?: for (?:it|this|that))?|(?:the "
         r")?(?:price|cost|costs)|do i need an "
         r"account"),
    _ask("languages", r"(?:do|can) you (?:speak|understand|read|know) (?!me|this|it|what)[\w ]{3,30}"
         r"|(?:which|what) languages(?: do you (?:speak|understand|read|know))?|can i (?:write|ask|talk) in "
         r"[\w ]{3,30}"),
    _ask(
        "differences",
        r"(?:what(?:'s| is| are) )?(?:the )?differences?(?: between (?:them|these|those|\d and \d|the "
        r"(?:models"
        r"|two|others)))?"
        r"|what(?:'s| is) (?:so )?different (?:about|with|in) .{1,40}|how (?:do|are) (?:they|these|those) "
        r"(?:differ|different)|compare(?: (?:them|these|\d (?:and|with"
        r"|to) \d))?"
        rf"|which (?:{MODEL} )?(?:is|would be) (?:better|best|the best|nicer|more popular)(?: one)?",
    ),
    _ask(
        "others",
        r"what (?:are|were) (?:the|my) (?:other )?(?:options|alternatives|choices|others|models)|what "
        r"else(?: (?:is there|do you have|have you got|can i (?:take|use)))?|(?:show|list|give)(?: "
        r"me)?(?: all)? (?:the )?"
        r"(?:others?|alternatives|options|choices|list|rest)(?: again)?|(?:the )?(?:others|alternatives"
        r"|options|list)"
        r"|(?:are there|do you have|have you got) (?:any )?(?:others|alternatives|other (?:models|options"
        r"|ones)|more)",
    ),
    _ask(
        "model",
        rf"what(?:'s| is) (?:{IT}|this one|that one|the (?:model|lora|checkpoint))(?: (?:for|good for|called"
        rf"|about))?(?: (?:model|lora|checkpoint))?"
        rf"|tell me (?:more |something )?about (?:{IT}(?: one| model| lora| checkpoint)?|the (?:model|lora"
        rf"|checkpoint))|(?:more )?(?:info|information"
        rf"|details)(?: please)?"
        r"|what (?:does|can) (?:it|this|that)(?: (?:model|lora|checkpoint))? do|who made (?:it|(?:this|that"
        r"|the)(?: model|"
        r" lora| checkpoint)?)"
        r"|which model(?: (?:is (?:it|this|that)|did you (?:choose|pick|take)|do i need|should i use))?"
        r"|describe it"
        r"|how (?:popular|good) is (?:it|this|that)|is (?:it|this) (?:popular|good|any good)|what(?:'s| is) "
        r"(?:its|the) name",
    ),
    _ask("prompt", r"(?:show(?: me)?|give me|what(?:'s| is)|copy|read me|print)(?: me)? (?:the|my|its) "
    r"(?:whole |full )?prompt"
         r"|(?:the )?prompt|what (?:do|should) i (?:paste|type)(?: in)?"),
)  # fmt: skip
QUESTIONS: Rules = (
    says(
        r"how (?:did|do|have) you (?:pick|choose|chosen|select|find|get|come up with|end up with) (?:it|this"
        r"|that|him|them)?(?: one"
        r"| model)?|why(?:(?: not)?(?: (?:that|this|it|him|her|the))?(?: one| model| lora| checkpoint)?"
        r"| (?:did|do|would|should|is|was) .{1,60})?|how come|what makes you think (?:so|that)"
        r"|how (?:sure|certain|confident) are you|are you sure(?: (?:about|of) (?:it|that|this))?|how well "
        r"does (?:it|this) fit|does (?:it|this"
        r"|that)(?: really)? fit"
        r"|is (?:it|this|that) (?:a )?(?:good|right|best)(?: fit| choice| one)?",
        Step("why"),
    ),
    says(
        r"what (?:do|did|have) you (?:have|understand|understood|understand so far)(?: so far)?"
        r"|(?:show(?: me)? )?(?:the |my |all )?(?:request|settings|status|wish|wishes|parameters)(?: so far)?"
        r"|what have i (?:said|asked for)(?: so far)?|where are we|summary|what(?:'s| is) my (?:request|wish)"
        r"|what (?:are|were) (?:the|my) (?:settings|wishes|filters)",
        Step("show"),
    ),
    says(
        r"help(?: me)?(?: please)?|\?+|commands|what (?:are the )?commands(?: are there)?|instructions|menu"
        r"|examples?"
        r"|show me (?:some )?examples|i (?:don't|do not) know(?: what to (?:say|do|write|ask))?|no idea"
        r"|hints?",
        Step("help"),
        first=True,
    ),
    says(
        r"(?:(?:many )?thanks|thank you|thx|ty|cheers)(?: (?:a lot|so much|very much|again|you|for .{1,40}))?"
        r"|(?:that(?: is|'s| looks| sounds)? |it(?: is|'s| looks| sounds)? |looks |sounds )?(?:really |very "
        r"|so |just )?(?:great|perfect|nice"
        r"|good|lovely|fine|it|awesome|amazing|wonderful|excellent|fantastic|beautiful|super|right|what i "
        r"want(?:ed)?|enough|all|okay|ok)"
        r"(?: thanks| thank you)?|ok|okay|cool|wow|i (?:really )?(?:like|love) (?:it|that|this)(?: one)?"
        r"|love it|done|i'm done|i am done"
        r"|that(?:'s| is) (?:all|it)(?: for (?:now|today))?|not (?:too )?bad|good (?:job|choice|one|work)"
        r"|well done|no,? "
        r"(?:thanks|thank you)"
        r"|(?:(?:ok|okay),? )?(?:thanks|thank you),? (?:good)?bye|(?:good)?bye|see you|i(?:'ll| will) take "
        r"it|i(?:'ll| will) use (?:it|that|this)(?: one)?"
        r"|nothing(?: else| more)?",
        Step("thanks"),
    ),
    says(
        r"hello|hi|hey|hiya|good (?:morning|day|evening)|hello there|hi there", Step("help"), first=True
    ),
    *(says(pattern, Step("ask", topic), first=True) for topic, pattern in _TOPICS),
)  # fmt: skip
_ASKS = re.compile(
    r"(?:what|who|whom|whose|when|where|why|how|which|is|are|was|were|does|do|did|should|has|have|can|could"
    r"|may|will"
    r"|would|am|shall)\b.+",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"(?:(?:and |but |so |well )?(?:i|you|we|they|he|she|it|that|this|there)(?:'s|'re|'m|'ve| is| are| am| "
    r"was| were| do| don't"
    r"| does| doesn't| did| didn't| have| has| can| can't| cannot| will| won't| would| think| feel| guess| "
    r"hope| know| hate"
    r"| love| like| wish| wonder| see| thought| makes| sounds| looks| seems| means) .+|(?:lol|haha+|hihi|omg"
    r"|wtf|hmm+|huh|eh|um+|uh+|ugh|really"
    r"|seriously|oh)\b.{0,20})",
    re.IGNORECASE,
)
_SHOWN = re.compile(
    r"\b(?:it|that|there) (?:should|must|could|is|are|has|have) (?:be|have|show|an?|some)\b"
    r"|\b(?:it|it's)(?: is)? (?:raining|snowing|night|day|dark|winter|summer|spring|autumn|sunny|foggy|windy"
    r"|morning|evening"
    r"|christmas|halloween|early|late|cold|hot)\b",
    re.IGNORECASE,
)


_SUGGESTS = re.compile(r"(?:(?:what|how) about|(?:can|could|may) (?:we|it|you)|why not) ", re.IGNORECASE)


def seems_no_wish(text: str) -> bool:
    """Whether a text asks or tells something, instead of saying what the picture shall show."""
    bare = text.strip()
    if _SHOWN.search(bare) or _SUGGESTS.match(bare):
        return False
    asks = bare.endswith("?") and _ASKS.match(bare) is not None
    tells = _TELLS.fullmatch(bare.rstrip(" .!?…"))
    return asks or tells is not None or asks_for_nothing(" ".join(bare.split())) is not None
