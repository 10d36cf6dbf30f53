export function Apart () { return null }
