package invariants

// SeedVariable is the environment variable that fixes the choices of Sometimes
// for a run: a number as strconv.ParseUint reads it with base 0. Without it each
// process begins somewhere else.
const SeedVariable = "EBOFS_INVARIANTS_SEED"
