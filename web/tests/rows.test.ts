import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../src/api/types.ts'
import { dropAt, range, rowsOf } from '../src/state/rows.ts'
import { move } from '../src/state/tree.ts'

function layer (id: string, parent: string | null = null, kind: Layer['kind'] = 'image'): Layer {
  return {
    id, kind, parent, name: id, asset: null, mask: null, x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, opacity: 1,
    blend_mode: 'normal', visible: true, locked: false, warning: null
  }
}
/* From the top: e, g (c, b), a. */
const stack = [layer('a'), layer('b', 'g'), layer('c', 'g'), layer('g', null, 'group'), layer('e')]
const none = new Set<string>()
const shown = (layers: Layer[], folded: ReadonlySet<string> = none): string => rowsOf(layers, folded).map((r) => '.'.repeat(r.depth) + r.layer.id).join(' ')

function dropped (id: string, row: number, part: number): string | null {
  const drop = dropAt(stack, rowsOf(stack, none), row, part, [id])
  return drop && shown(move(stack, [id], drop.parent, drop.index))
}

test('the top of the stack is the first row, members stand under their group', () => {
  assert.equal(shown(stack), 'e g .c .b a')
  assert.equal(shown(stack, new Set(['g'])), 'e g a')
})

test('a row goes where the line shows it', () => {
  assert.equal(dropped('a', 0, 0.1), 'a e g .c .b')
  assert.equal(dropped('a', 0, 0.9), 'e a g .c .b')
  assert.equal(dropped('a', 1, 0.5), 'e g .a .c .b')
  assert.equal(dropped('a', 1, 0.9), 'e g .a .c .b')
  assert.equal(dropped('a', 2, 0.9), 'e g .c .a .b')
  assert.equal(dropped('e', 4, 0.9), 'g .c .b a e')
  assert.equal(dropped('c', 4, 0.9), 'e g .b a c')
  assert.equal(dropped('g', 2, 0.5), null)
})

test('a range goes either way', () => {
  const rows = rowsOf(stack, none)
  assert.deepEqual(range(rows, 'e', 'c'), ['e', 'g', 'c'])
  assert.deepEqual(range(rows, 'c', 'e'), ['e', 'g', 'c'])
})
