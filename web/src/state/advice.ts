/* advice.ts - what a plan advises, as far as a button can do it. Pure. */

/* "a budget of 7.80 GiB or more (--budget) would be enough": 7.80GiB. Null where the line is about something else. */
export function budgetIn (line: string): string | null {
  const found = /\ba budget of (\d+(?:\.\d+)?) ?([KMGT]?i?B?)\b/.exec(line)
  return found ? `${found[1] ?? ''}${found[2] ?? ''}` : null
}

/* Whether the line says that a smaller image would do. */
export const canShrink = (line: string): boolean => line.includes('smaller image')
