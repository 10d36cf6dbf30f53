export function AirGap () { return null }
