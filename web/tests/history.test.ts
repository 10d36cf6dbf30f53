import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { commandLine, quoted } from '../src/state/command_line.ts'
import { newerAndOld, rangeOf } from '../src/state/pages.ts'

/* What a shell makes of it. */
const words = (line: string): string[] => execFileSync('sh', ['-c', `printf '%s\\0' ${line}`]).toString().split('\0').slice(0, -1)

test('a shell reads every word as it was', () => {
  const all = ['plain', '', 'two words', "it's", '"double"', '$HOME `id` $(id)', 'a;b|c&d>e', '*?[x]', '~', '#no', 'back\\slash', 'line\nbreak', '!history', '{a,b}', "'''", '-p', '灯塔']
  assert.deepEqual(words(all.map(quoted).join(' ')), all)
  assert.equal(quoted('micro-klein'), 'micro-klein')
})

test('a request as a command', () => {
  assert.equal(commandLine('generate', { model: 'm', prompt: "it's", width: 64, height: 128, seed: 0, guidance: 3.5, max_tokens: 40, count: null }, (id) => id),
    "veetance generate -m m -p 'it'\\''s' -W 64 -H 128 --seed 0 --guidance 3.5 --max-tokens 40")
  const files = new Map([['a', 'my photo.png'], ['b', 'b.png'], ['k', 'mask.png']])
  const fileOf = (id: string): string => files.get(id) ?? id
  assert.deepEqual(words(commandLine('edit', { prompt: 'x', images: ['a', 'b'], mask: 'k', extend: [1, 2, 0, 0], strength: 0.5, mask_from_alpha: false }, fileOf)),
    ['veetance', 'edit', '-i', 'my photo.png', '-i', 'b.png', '-p', 'x', '--mask', 'mask.png', '--strength', '0.5', '--extend', '1,2,0,0'])
  assert.deepEqual(words(commandLine('generate', { prompt: 'x', loras: [{ name: 'glow', strength: 0.5 }, { name: 'a b', strength: 1 }] }, fileOf)),
    ['veetance', 'generate', '-p', 'x', '--lora', 'glow:0.5', '--lora', 'a b:1'])
  assert.deepEqual(words(commandLine('layers', { image: 'b', layers: 4, keep_empty: true, full_size: false, seed: 7 }, fileOf)),
    ['veetance', 'layers', '-i', 'b.png', '-n', '4', '--seed', '7', '--keep-empty'])
})

test('a newer page goes before what was read', () => {
  const item = (id: string, created_ms: number) => ({ id, created_ms })
  const old = [item('c', 3), item('b', 2), item('a', 1)]
  assert.deepEqual(newerAndOld([item('d', 4), item('c', 3)], old).map((x) => x.id), ['d', 'c', 'b', 'a'])
  assert.deepEqual(newerAndOld([item('d', 4), item('b', 2)], old).map((x) => x.id), ['d', 'b', 'a'])
  assert.deepEqual(newerAndOld([item('a', 1)], []).map((x) => x.id), ['a'])
})

test('only what is in sight is drawn', () => {
  assert.deepEqual(rangeOf(0, 800, 80, 1000), { from: 0, to: 16 })
  assert.deepEqual(rangeOf(8000, 800, 80, 1000), { from: 94, to: 116 })
  assert.deepEqual(rangeOf(0, 800, 80, 3), { from: 0, to: 3 })
  assert.deepEqual(rangeOf(9999, 800, 80, 0), { from: 0, to: 0 })
})
