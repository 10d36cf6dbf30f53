/* arithmetic.ts - what a person types into a number field: "512*2", "(3+1)/2", "50%". */

/* The value, or null where it is no sum. + - * / and parentheses; a comma may stand for the point. */
export function evaluate (source: string): number | null {
  const s = source.replaceAll(',', '.').replace(/\s+/g, '')
  let at = 0
  const failed = Symbol('failed')
  const fail = (): never => { throw failed }

  function number (): number {
    const m = /^\d*\.?\d+|^\d+\.?/.exec(s.slice(at))
    if (!m) return fail()
    at += m[0].length
    if (s[at] !== '%') return Number(m[0])
    at++
    return Number(m[0]) / 100
  }

  function factor (): number {
    if (s[at] === '-' || s[at] === '+') return s[at++] === '-' ? -factor() : factor()
    if (s[at] !== '(') return number()
    at++
    const v = sum()
    if (s[at++] !== ')') fail()
    return v
  }

  function product (): number {
    let v = factor()
    while (s[at] === '*' || s[at] === '/') v = s[at++] === '*' ? v * factor() : v / factor()
    return v
  }

  function sum (): number {
    let v = product()
    while (s[at] === '+' || s[at] === '-') v = s[at++] === '+' ? v + product() : v - product()
    return v
  }

  try {
    const v = sum()
    return at === s.length && Number.isFinite(v) ? v : null
  } catch (e) {
    if (e !== failed) throw e
    return null
  }
}
