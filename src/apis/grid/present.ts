/** From our nouns to the sheet's JSON: pure functions. */

/** A time as this contract writes it: UTC without saying so, with microseconds. */
export const naive = (at: Date): string => `${at.toISOString().slice(0, -1)}000`;
