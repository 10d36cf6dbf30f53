"""groups_test.py - layers in groups over HTTP: where they may lie, where they go, what they show; the selection."""

from images import Image
from projects_test import change, put
from support import SCENE, Server, png, run_all


def grouped(s):
    """Bottom first: ground, a and b in the group g, top."""
    ground, dot = put(s, png(40, 30, (255, 0, 0))), put(s, png(10, 10, (0, 255, 0)))
    r = s.post("/v1/projects", {"width": 40, "height": 30, "layers": [
        {"id": "ground", "asset": ground}, {"id": "a", "asset": dot, "parent": "g"},
        {"id": "b", "asset": dot, "x": 20, "parent": "g"}, {"id": "g", "kind": "group", "name": "both"},
        {"id": "top", "asset": dot, "y": 20}]})
    assert r.status == 201, r
    return "/v1/projects/" + r.json()["id"]


def order(r):
    assert r.status in (200, 201), r
    return " ".join(l["id"] if not l["parent"] else f"{l['id']}<{l['parent']}" for l in r.json()["layers"])


def test_a_layer_has_what_the_contract_says(program):
    with Server(program) as s:
        p = s.get(grouped(s)).json()
        assert p["selection"] is None
        assert [l["kind"] for l in p["layers"]] == ["image", "image", "image", "group", "image"]
        assert p["layers"][0]["parent"] is None and p["layers"][0]["warning"] is None
        assert p["layers"][3]["asset"] is None and p["layers"][3]["opacity"] == 1
        r = change(s, "PUT", "/v1/projects/" + p["id"], p)
        assert r.status == 200 and r.json()["layers"] == p["layers"], r


def test_layers_move_into_and_out_of_groups(program):
    with Server(program) as s:
        at = grouped(s)
        assert order(change(s, "PATCH", at + "/layers/top", {"parent": "g"})) == "ground a<g b<g top<g g"
        assert order(change(s, "PATCH", at + "/layers/top", {"parent": "g"})) == "ground a<g b<g top<g g"
        assert order(change(s, "PATCH", at + "/layers/ground", {"parent": "g", "index": 1})) == \
            "a<g ground<g b<g top<g g"
        assert order(change(s, "PATCH", at + "/layers/a", {"parent": None})) == "ground<g b<g top<g g a"
        assert order(change(s, "PATCH", at + "/layers/b", {"parent": None, "index": 0})) == "b ground<g top<g g a"
        assert order(change(s, "PATCH", at + "/layers/g", {"index": 4})) == "b a ground<g top<g g"
        assert order(change(s, "PATCH", at + "/layers/g", {"index": 2})) == "ground<g top<g g b a"
        r = change(s, "POST", at + "/layers", {"id": "h", "kind": "group", "parent": "g"})
        assert order(r) == "ground<g top<g h<g g b a"
        assert order(change(s, "PATCH", at + "/layers/a", {"parent": "h"})) == "ground<g top<g a<h h<g g b"
        assert order(change(s, "DELETE", at + "/layers/h")) == "ground<g top<g g b"
        assert order(change(s, "DELETE", at + "/layers/g")) == "b"
        assert order(change(s, "POST", at + "/undo")) == "ground<g top<g g b"


def test_wrong_places_name_the_field(program):
    with Server(program) as s:
        at = grouped(s)
        dot = s.get(at).json()["layers"][4]["asset"]
        cases = [("PATCH", "/layers/top", {"parent": "nobody"}, "parent"),
                 ("PATCH", "/layers/top", {"parent": "a"}, "parent"),
                 ("PATCH", "/layers/g", {"parent": "g"}, "parent"),
                 ("PATCH", "/layers/top", {"index": 2}, "parent"),
                 ("PATCH", "/layers/g", {"index": 1}, "index"),
                 ("PATCH", "/layers/g", {"kind": "image"}, "asset"),
                 ("PATCH", "/layers/a", {"kind": "folder"}, "kind"),
                 ("PATCH", "/layers/a", {"warning": "w" * 256}, "warning"),
                 ("PATCH", "/layers/a", {"asset": None}, "asset"),
                 ("POST", "/layers", {"asset": dot, "parent": "top"}, "parent"),
                 ("POST", "/layers", {"name": "no image"}, "asset"),
                 ("PATCH", "", {"selection": "0" * 64}, None),
                 ("PATCH", "", {"layers": [{"asset": dot}, {"asset": dot, "parent": "g"}]}, "layers[1].parent")]
        for method, path, body, field in cases:
            r = change(s, method, at + path, body)
            assert r.status in (400, 422), (body, r)
            assert field is None or r.json()["field"] == field, (body, r)
        assert s.get(at).json()["revision"] == 1


def test_a_group_is_seen_as_one(program):
    with Server(program) as s:
        at = grouped(s)
        change(s, "PATCH", at + "/layers/a", {"x": 20, "opacity": 0.5})
        change(s, "PATCH", at + "/layers/g", {"opacity": 0.5, "blend_mode": "multiply", "warning": "look at it"})
        im = Image(s.get(at + "/export").body)
        assert im.at(22, 2) == (128, 0, 0, 255) and im.at(2, 2) == (255, 0, 0, 255), im.at(22, 2)
        for name in ("psd", "ora", "zip", "webp"):
            assert s.get(f"{at}/export?format={name}").status == 200
        change(s, "PATCH", at + "/layers/g", {"visible": False})
        assert Image(s.get(at + "/export").body).at(22, 2) == (255, 0, 0, 255)


def test_the_selection_is_part_of_the_history_and_kept(program):
    with Server(program) as s:
        at, mask = grouped(s), put(s, png(40, 30, (255, 255, 255)))
        r = change(s, "PATCH", at, {"selection": mask})
        assert r.status == 200 and r.json()["selection"] == mask, r
        assert s.request("DELETE", "/v1/assets/" + mask).status == 409
        assert change(s, "PATCH", at, {"selection": None}).json()["selection"] is None
        assert change(s, "POST", at + "/undo").json()["selection"] == mask
        assert change(s, "POST", at + "/undo").json()["selection"] is None


def test_a_layer_that_was_taken_apart_is_a_group_until_it_is_one_again(program):
    with Server(program) as s:
        image = s.upload(SCENE)
        made = s.post("/v1/layers?wait=true", {"model": "micro-layered", "image": image, "layers": 2, "steps": 2})
        assert made.status == 200, made
        p = s.post("/v1/projects", {"width": 64, "height": 64, "layers": [
            {"id": "whole", "asset": image, "x": 3, "opacity": 0.5, "name": "photo"}]}).json()
        at = "/v1/projects/" + p["id"]
        r = change(s, "POST", at + "/import", {"job": made.json()["job"], "group": True})
        assert r.status == 422 and r.json()["field"] == "group", r
        r = change(s, "POST", at + "/import", {"job": made.json()["job"], "group": True, "replace": "whole"})
        *members, group = r.json()["layers"]
        assert group == {**p["layers"][0], "kind": "group", "warning": group["warning"]}, group
        assert bool(group["warning"]) == made.json()["doubtful"], (group, made)
        assert len(members) == len(made.json()["layers"])
        assert all(m["parent"] == "whole" and m["opacity"] == 1 and m["x"] == 3 for m in members), members
        r = change(s, "PATCH", at + "/layers/whole", {"kind": "image", "warning": None})
        assert r.json()["layers"] == p["layers"], r


if __name__ == "__main__":
    run_all(globals())
