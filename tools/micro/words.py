"""What can be said about a scene: captions, edit instructions, and the same as slots (the text encoder learns to fill them)."""

from scenes import COLORS, SHAPES

OPERATIONS = ["t2i", "recolor", "background", "remove", "add", "replace", "move", "empty"]
_COLORS = list(COLORS)
_SIZES = ["small", "medium", "big"]
# operation, two background colours, then shape, colour, size, column and row of three objects; 0 = not said
OBJECT_SLOTS = [len(SHAPES) + 1, len(_COLORS) + 1, 4, 4, 4]
SLOTS = [len(OPERATIONS), len(_COLORS) + 1, len(_COLORS) + 1] + OBJECT_SLOTS * 3


def _index(words, word):
    return words.index(word) + 1 if word else 0


def an(word):
    return ("an " if word[0] in "aeio" else "a ") + word


def noun(rng, o, say_color=True):
    words = []
    if o.size != "medium":
        words.append(rng.choice(["small", "small", "tiny"] if o.size == "small" else ["big", "large"]))
    return an(" ".join(words + [o.color] * say_color + [o.shape]))


def where(rng, col, row):
    if (col, row) == (1, 1):
        return rng.choice(["in the center", "in the middle"])
    side, end = ["left", None, "right"][col], ["top", None, "bottom"][row]
    if not end:
        return rng.choice([f"on the {side}", f"at the {side}"])
    if not side:
        return rng.choice(["at the top", "on top"] if end == "top" else ["at the bottom"])
    return rng.choice([f"in the {end} {side}", f"in the {end} {side} corner"])


def background_words(rng, bg):
    if bg[1]:
        mix = f"{an(bg[0])} to {bg[1]} gradient"
        return rng.choice([f"on {mix} background", f"on {mix}", f"with {mix}"])
    plain = f"on {an(bg[0])} background"
    return rng.choice([plain, plain, f"with {an(bg[0])} background", f"on {bg[0]}"])


_ARRANGED = {
    "row2": ["{0} to the left of {1}", "{1} to the right of {0}", "{0} left of {1}", "{0} and {1}", "{0} next to {1}",
             "{0} on the left and {1} on the right", "{1} on the right and {0} on the left"],
    "col2": ["{0} above {1}", "{1} below {0}", "{0} over {1}", "{1} under {0}", "{0} at the top and {1} at the bottom",
             "{1} at the bottom and {0} at the top"],
    "inside": ["{1} inside {0}", "{1} in front of {0}", "{0} with {1} inside"],
    "row3": ["{0}, {1} and {2}", "{0}, {1} and {2} in a row", "{0} on the left, {1} in the center and {2} on the right"],
    "col3": ["{0} above {1} above {2}", "{0}, {1} and {2} in a column", "{0} at the top, {1} in the center and {2} at the bottom"],
}  # fmt: skip


def _finish(rng, text):
    if rng.random() < 0.08:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.06 else text


def caption(rng, scene, omit=True):
    """-> (text, slots). With omit, now and then a colour or the background is left unsaid."""
    objs = scene.objs
    unsaid = [omit and rng.random() < 0.04 for _ in objs]
    no_background = omit and rng.random() < 0.08
    nouns = [noun(rng, o, not u) for o, u in zip(objs, unsaid)]
    if scene.kind == "one":
        o = objs[0]
        centred = (o.col, o.row) == (1, 1) and rng.random() < 0.7
        text = nouns[0] if centred else nouns[0] + " " + where(rng, o.col, o.row)
    else:
        text = rng.choice(_ARRANGED[scene.kind]).format(*nouns)
    if not no_background:
        text += " " + background_words(rng, scene.bg)
    text = rng.choices(["", "an icon of ", "a picture of ", "draw "], [0.84, 0.06, 0.06, 0.04])[0] + text
    slots = [0] + ([0, 0] if no_background else [_index(_COLORS, scene.bg[0]), _index(_COLORS, scene.bg[1])])
    for o, u in zip(objs, unsaid):
        slots += _object_slots(o, not u)
    return _finish(rng, text), slots + [0] * (len(SLOTS) - len(slots))


def _object_slots(o, say_color=True):
    return [_index(SHAPES, o.shape), _index(_COLORS, o.color) if say_color else 0, _index(_SIZES, o.size), o.col + 1, o.row + 1]


def instruction(rng, scene, op, params):
    """-> (text, slots) of an edit drawn by scenes.random_edit. The object meant is slot object 0, what comes in is object 1."""
    slots = [0] * len(SLOTS)
    slots[0] = OPERATIONS.index(op)

    def the(i):
        o = scene.objs[i]
        slots[3] = _index(SHAPES, o.shape)
        if rng.random() < 0.3:
            slots[4] = _index(_COLORS, o.color)
            return f"the {o.color} {o.shape}"
        return f"the {o.shape}"

    if op == "recolor":
        n, c = the(params[0]), params[1]
        slots[9] = _index(_COLORS, c)
        choices = [f"make {n} {c}", f"change {n} to {c}", f"turn {n} {c}", f"change the color of {n} to {c}", f"paint {n} {c}"]
    elif op == "background":
        c = params[0]
        slots[1] = _index(_COLORS, c)
        choices = [f"change the background to {c}", f"make the background {c}", f"set the background to {c}",
                   f"put it on {an(c)} background", f"{c} background"]  # fmt: skip
    elif op == "remove":
        n = the(params[0])
        choices = [f"remove {n}", f"delete {n}", f"erase {n}"]
    elif op == "replace":
        n, s = the(params[0]), params[1]
        slots[8] = _index(SHAPES, s)
        choices = [f"replace {n} with {an(s)}", f"turn {n} into {an(s)}", f"change {n} into {an(s)}"]
    else:
        o = params[0]
        slots[8:13] = _object_slots(o)
        choices = [f"{verb} {noun(rng, o)} {where(rng, o.col, o.row)}" for verb in ("add", "add", "put", "draw")]
    return _finish(rng, rng.choice(choices)), slots


LAYER_PROMPTS = ["an icon scene", "a flat icon scene", "split this icon into layers", "decompose the image into layers",
                 "the layers of the image", "an icon scene with shapes"]  # fmt: skip


def layered_caption(rng, scene):
    """A plain list of what the scene shows; the layered model hardly needs it."""
    said = [noun(rng, o) for o in scene.objs]
    text = said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
    return text + " " + background_words(rng, scene.bg)
