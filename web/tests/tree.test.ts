import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Layer } from '../src/api/types.ts'
import { group, insert, isWithin, move, remove, topmost, ungroup, withMembers } from '../src/state/tree.ts'

function layer (id: string, parent: string | null = null, kind: Layer['kind'] = 'image'): Layer {
  return {
    id, kind, parent, name: id, asset: null, mask: null, x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, opacity: 1,
    blend_mode: 'normal', visible: true, locked: false, warning: null
  }
}
const ids = (layers: Layer[]): string => layers.map((l) => l.id).join(' ')

/* Bottom first: a, then the group g of b, c and the group h of d, then e. */
const stack = [layer('a'), layer('b', 'g'), layer('c', 'g'), layer('d', 'h'), layer('h', 'g', 'group'), layer('g', null, 'group'), layer('e')]

test('members lie below their group, whatever is moved', () => {
  assert.equal(ids(move(stack, ['e'], 'g', 0)), 'a e b c d h g')
  assert.equal(ids(move(stack, ['e'], 'g', 3)), 'a b c d h e g')
  assert.equal(ids(move(stack, ['h'], null, 0)), 'd h a b c g e')
  assert.equal(ids(move(stack, ['a'], null, 2)), 'b c d h g a e')
  assert.equal(ids(move(stack, ['a'], null, 3)), 'b c d h g e a')
  assert.equal(ids(move(stack, ['g'], null, 3)), 'a e b c d h g')
})

test('a group does not go into itself', () => {
  assert.equal(move(stack, ['g'], 'h', 0), stack)
})

test('grouping keeps the order and nests', () => {
  const made = group(stack, ['a', 'e'], layer('n', null, 'group'))
  assert.equal(ids(made), 'b c d h g a e n')
  assert.equal(made.find((l) => l.id === 'a')?.parent, 'n')
  assert.equal(ids(ungroup(made, 'n')), 'b c d h g a e')
  assert.equal(ids(group(stack, ['c'], layer('n', null, 'group'))), 'a b c n d h g e')
})

test('a group goes with all that lies in it', () => {
  assert.equal(ids(remove(stack, ['g'])), 'a e')
  assert.equal(ids(withMembers(stack, 'g')), 'b c d h g')
  assert.deepEqual(topmost(stack, ['g', 'd', 'a']), ['g', 'a'])
  assert.ok(isWithin(stack, 'd', 'g'))
})

test('a row goes where it is told', () => {
  assert.equal(ids(insert(stack, [layer('x')], 'g', 1)), 'a b x c d h g e')
  assert.equal(ids(insert(stack, [layer('x')], 'h')), 'a b c d x h g e')
  assert.equal(ids(insert(stack, [layer('x')], null)), 'a b c d h g e x')
})
