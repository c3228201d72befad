/** Sellers that signed up early and have sold something first. */
export const GENESIS_SEATS = 200;
export const PIONEER_SEATS = 20;
/** Settled jobs of a verification skill that make its seller a pioneer. */
export const PIONEER_JOBS = 10;
