// Our PSD through ag-psd, against the PNG set of the same stack.
import fs from 'node:fs';
import { initializeCanvas, readPsd } from 'ag-psd';
import { near, readSet, same, samePixels } from './common.mjs';

const [psdPath, setPath] = process.argv.slice(2);
// Pixels are wanted as bytes; no canvas is there or needed.
initializeCanvas(
    () => {
        throw new Error('no canvas here');
    },
    (width, height) => ({ width, height, data: new Uint8ClampedArray(4 * width * height) }),
);
const psd = readPsd(fs.readFileSync(psdPath), { useImageData: true, throwForMissingFeatures: false });
const set = readSet(setPath);

const modes = { add: 'linear dodge' };
same('width', psd.width, set.width);
same('height', psd.height, set.height);
same('layers', psd.children.length, set.layers.length);
set.layers.forEach((ours, i) => {
    const theirs = psd.children[i];
    const what = `layer ${i}`;
    same(`${what}: name`, theirs.name, ours.name);
    same(`${what}: left`, theirs.left, ours.x);
    same(`${what}: top`, theirs.top, ours.y);
    same(`${what}: right`, theirs.right, ours.x + ours.width);
    same(`${what}: bottom`, theirs.bottom, ours.y + ours.height);
    near(`${what}: opacity`, theirs.opacity, ours.opacity, 0.5 / 255 + 1e-9);
    same(`${what}: mode`, theirs.blendMode, modes[ours.blend_mode] ?? ours.blend_mode.replace('-', ' '));
    same(`${what}: hidden`, theirs.hidden, !ours.visible);
    same(`${what}: number`, theirs.id, i + 1);
    samePixels(what, theirs.imageData.data, ours.pixels);
});
samePixels('composite', psd.imageData.data, set.composite, 1);
