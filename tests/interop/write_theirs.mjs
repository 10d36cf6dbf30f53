import fs from 'node:fs';
import path from 'node:path';
import { writePsdBuffer } from 'ag-psd';
import { psd } from './theirs.mjs';

const dir = process.argv[2];
fs.writeFileSync(path.join(dir, 'groups.psd'), writePsdBuffer(psd));
fs.writeFileSync(path.join(dir, 'zip.psd'), writePsdBuffer(psd, { compress: true }));
