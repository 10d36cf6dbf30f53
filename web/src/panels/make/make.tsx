export function Make () { return null }
