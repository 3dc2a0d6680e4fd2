// fast-check with one seed for all property tests, so that a run is the run before: SEED=n asks with other values. A failure tells its seed and
// path. The fuzzers of bench/ draw a new seed each time.
import fc from 'fast-check';

/** The seed of everything random in the tests. */
export const SEED = Number(process.env['SEED'] ?? 1);

fc.configureGlobal({ seed: SEED });

export { fc };
