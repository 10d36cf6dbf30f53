// A layer as ImageMagick gives it, which multiplies the layer's opacity into alpha.
import fs from 'node:fs';
import { near, readSet, same } from './common.mjs';

const [rawPath, setPath, index] = process.argv.slice(2);
const raw = fs.readFileSync(rawPath);
const { pixels, opacity } = readSet(setPath).layers[Number(index)];
same(`layer ${index}: bytes`, raw.length, pixels.length);
for (let i = 0; i < raw.length; i++)
    if (i % 4 === 3)
        near(`layer ${index}: alpha ${i}`, raw[i], pixels[i] * opacity, opacity === 1 ? 0 : 1);
    else
        same(`layer ${index}: byte ${i}`, raw[i], pixels[i]);
