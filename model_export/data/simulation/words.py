"""The words that simulated products are named and described with."""

from typing import Final

DEPARTMENTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Home": {
        "Desks": ("standing desk", "writing desk", "corner desk", "folding desk", "secretary desk"),
        "Lighting": ("desk lamp", "floor lamp", "pendant light", "wall sconce", "string lights"),
        "Seating": ("office chair", "armchair", "bar stool", "bench", "rocking chair"),
        "Storage": ("bookshelf", "filing cabinet", "storage basket", "wall shelf", "drawer unit"),
    },
    "Kitchen": {
        "Cookware": ("frying pan", "saucepan", "stock pot", "wok", "griddle"),
        "Knives": ("chef's knife", "bread knife", "paring knife", "cleaver", "sharpening stone"),
        "Coffee": ("espresso maker", "pour-over dripper", "coffee grinder", "milk frother", "French press"),
        "Tableware": ("dinner plate set", "cereal bowl set", "coffee mug", "wine glass set", "serving board"),
    },
    "Outdoor": {
        "Camping": ("two-person tent", "sleeping bag", "camping stove", "hammock", "camp lantern"),
        "Hiking": ("hiking boots", "daypack", "trekking poles", "rain jacket", "water filter"),
        "Cycling": ("bike helmet", "pannier bag", "bike light", "cycling gloves", "tyre pump"),
        "Garden": ("pruning shears", "watering can", "raised planter", "garden hose", "bird feeder"),
    },
    "Electronics": {
        "Audio": ("over-ear headphones", "wireless earbuds", "bookshelf speaker", "soundbar", "record player"),
        "Computing": ("mechanical keyboard", "ergonomic mouse", "monitor", "docking station", "webcam"),
        "Photography": ("mirrorless camera", "tripod", "portrait lens", "camera bag", "memory card"),
        "Gaming": ("game controller", "gaming headset", "handheld console", "racing wheel", "capture card"),
    },
    "Fashion": {
        "Shoes": ("running shoes", "leather boots", "canvas sneakers", "sandals", "loafers"),
        "Outerwear": ("wool coat", "denim jacket", "down vest", "trench coat", "fleece hoodie"),
        "Bags": ("leather backpack", "tote bag", "weekender", "crossbody bag", "wallet"),
        "Accessories": ("wool scarf", "leather belt", "knit beanie", "sunglasses", "wristwatch"),
    },
    "Play": {
        "Board games": ("strategy game", "party game", "chess set", "jigsaw puzzle", "card game"),
        "Crafts": ("watercolour set", "sketchbook", "knitting kit", "pottery tools", "calligraphy pen"),
        "Music": ("acoustic guitar", "ukulele", "digital piano", "hand drum", "music stand"),
        "Toys": ("wooden train set", "building blocks", "plush animal", "toy kitchen", "kite"),
    },
}
"""Department -> category -> product types. A product type is a leaf of the tree."""

BRANDS: Final[dict[str, tuple[str, ...]]] = {
    "Home": ("Nordhaus", "Alder & Finch", "Lumenfold", "Casa Brava", "Oakline"),
    "Kitchen": ("Copperleaf", "Maison Duval", "Ironpeel", "Sumi", "Harvest Table"),
    "Outdoor": ("Ridgeway", "Pinecone Co", "Torrent", "Wildgrove", "Basecamp Nine"),
    "Electronics": ("Voltaire", "Hexaline", "Auralis", "Pixelforge", "Kanto"),
    "Fashion": ("Marlowe", "Studio Vey", "Thistle & Twine", "Calder", "Bluebird"),
    "Play": ("Tinkerwick", "Meeple House", "Foxglove", "Larkspur", "Giggle & Co"),
}

MATERIALS: Final[dict[str, tuple[str, ...]]] = {
    "Home": ("walnut", "oak", "steel", "rattan", "ash"),
    "Kitchen": ("copper", "cast iron", "stoneware", "steel", "bamboo"),
    "Outdoor": ("nylon", "aluminium", "canvas", "merino", "titanium"),
    "Electronics": ("graphite", "aluminium", "silver", "matte black", "white"),
    "Fashion": ("navy", "charcoal", "camel", "olive", "burgundy"),
    "Play": ("beech", "cotton", "maple", "recycled paper", "felt"),
}

STYLES: Final = (
    ("minimalist", "Clean lines and no clutter, for people who like less."),
    ("rustic", "Rough edges and warm textures, as if made in a country workshop."),
    ("vintage", "Old-fashioned details that recall the nineteen-sixties."),
    ("sporty", "Light, tough and quick, for people who never sit still."),
    ("playful", "Bright and cheerful, with a wink in every detail."),
)
"""A style and what is said of it."""

PRICE_TIERS: Final = (
    ("budget", "A budget choice that does the job.", 15.0),
    ("mid-range", "A mid-range choice with a solid finish.", 60.0),
    ("premium", "A premium choice, made by hand to last.", 220.0),
)
"""A price tier, what is said of it, and its median price."""

SERIES: Final = (
    "Fjord", "Atlas", "Juno", "Ember", "Willow", "Comet", "Harbor", "Sage", "Orbit", "Delta",
    "Mica", "Breeze", "Cedar", "Nova", "Pebble", "Quill", "Raven", "Solstice", "Tundra", "Vesper",
)  # fmt: skip
"""Product lines; with a number they make titles unique."""
