// What we read from the document of theirs.mjs.
import { near, readSet, same, samePixels } from './common.mjs';
import { mask, psd } from './theirs.mjs';

const set = readSet(process.argv[2]);
const [bottom, group, top] = psd.children;
const expected = [
    { ...bottom, opacity: 1, visible: true, mode: 'normal' },
    { ...group.children[0], opacity: 0.4, visible: true, mode: 'screen' },
    { ...group.children[1], opacity: 0.4, visible: false, mode: 'normal' },
    { ...top, opacity: 0.2, visible: true, mode: 'color-dodge' },
];
same('width', set.width, psd.width);
same('height', set.height, psd.height);
same('layers', set.layers.length, expected.length);
expected.forEach((theirs, i) => {
    const ours = set.layers[i];
    const what = `layer ${i}`;
    same(`${what}: name`, ours.name, theirs.name);
    same(`${what}: x`, ours.x, theirs.left);
    same(`${what}: y`, ours.y, theirs.top);
    near(`${what}: opacity`, ours.opacity, theirs.opacity, 1e-9);
    same(`${what}: visible`, ours.visible, theirs.visible);
    same(`${what}: mode`, ours.blend_mode, theirs.mode);
    const pixels = Uint8Array.from(theirs.imageData.data);
    for (let y = 0; theirs.mask && y < ours.height; y++)
        for (let x = 0; x < ours.width; x++) {
            const mx = ours.x + x - mask.left;
            const my = ours.y + y - mask.top;
            const inside = mx >= 0 && my >= 0 && mx < 2 && my < 2;
            const m = inside ? mask.imageData.data[4 * (my * 2 + mx)] : mask.defaultColor;
            const at = 4 * (y * ours.width + x) + 3;
            pixels[at] = Math.round((pixels[at] * m) / 255);
        }
    samePixels(what, ours.pixels, pixels);
});
