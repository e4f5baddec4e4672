/* Deterministic random numbers from a seed (xoshiro256**); seeds come from io or the simulator.  */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
/* 64 even bits.  */
uint64_t rng_next(struct rng *r);
/* Evenly in 0..n-1; n > 0.  */
uint64_t rng_below(struct rng *r, uint64_t n);
/* Evenly in [0, 1).  */
double rng_unit(struct rng *r);

#endif
