#include "route/mx.h"

static void swap(struct mx_choice *a, struct mx_choice *b)
{
	struct mx_choice c = *a;
	*a = *b;
	*b = c;
}

static void shuffle(struct mx_choice *choices, uint32_t count, struct rng *rng)
{
	for (uint32_t i = count; i > 1; i--) swap(&choices[i - 1], &choices[rng_below(rng, i)]);
}

/* Stable, and quick enough for what DNS can return.  */
static void sort(struct mx_choice *choices, uint32_t count,
	bool (*before)(const struct mx_choice *a, const struct mx_choice *b))
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = i; j > 0 && before(&choices[j], &choices[j - 1]); j--)
			swap(&choices[j], &choices[j - 1]);
}

static bool preferred(const struct mx_choice *a, const struct mx_choice *b)
{
	return a->preference < b->preference;
}

/* Known before unknown, the quicker first; among the unknown, the preferred.  */
static bool quicker(const struct mx_choice *a, const struct mx_choice *b)
{
	if (a->latency_us && b->latency_us) return a->latency_us < b->latency_us;
	if (a->latency_us || b->latency_us) return a->latency_us != 0;
	return preferred(a, b);
}

static double weight(const struct mx_choice *c, double of_unknown)
{
	return c->latency_us ? 1.0 / c->latency_us : of_unknown;
}

/* Draw without putting back.  */
static void draw(struct mx_choice *equals, uint32_t count, struct rng *rng)
{
	double best = 0;
	for (uint32_t i = 0; i < count; i++)
		if (weight(&equals[i], 0) > best) best = weight(&equals[i], 0);
	if (best == 0) best = 1;
	for (; count > 1; equals++, count--) {
		double all = 0;
		for (uint32_t i = 0; i < count; i++) all += weight(&equals[i], best);
		double at = rng_unit(rng) * all;
		uint32_t i = 0;
		while (i + 1 < count && at >= weight(&equals[i], best))
			at -= weight(&equals[i++], best);
		swap(&equals[0], &equals[i]);
	}
}

void mx_order(struct mx_choice *choices, uint32_t count, struct rng *rng)
{
	sort(choices, count, preferred);
	for (uint32_t from = 0, to; from < count; from = to) {
		for (to = from + 1;
			to < count && choices[to].preference == choices[from].preference;)
			to++;
		draw(choices + from, to - from, rng);
	}
}

void mx_order_by_latency(struct mx_choice *choices, uint32_t count, struct rng *rng)
{
	shuffle(choices, count, rng);
	sort(choices, count, quicker);
	uint32_t known = 0;
	while (known < count && choices[known].latency_us) known++;
	if (known == 0 || known == count) return;
	swap(&choices[known], &choices[known + rng_below(rng, count - known)]);
	struct mx_choice unknown = choices[known];
	memmove(choices + 1, choices, known * sizeof(*choices));
	choices[0] = unknown;
	sort(choices + known + 1, count - known - 1, quicker);
}

/* The least known latency of one family; 0 when none is known.  */
static uint32_t quickest(const struct net_address *addresses, const uint32_t *latencies,
	uint32_t count, enum net_family family)
{
	uint32_t least = 0;
	for (uint32_t i = 0; i < count; i++)
		if (addresses[i].family == family && latencies[i] &&
			(!least || latencies[i] < least))
			least = latencies[i];
	return least;
}

void mx_interleave(struct net_address *addresses, uint32_t *latencies, uint32_t count)
{
	uint32_t six = quickest(addresses, latencies, count, NET_IPV6);
	uint32_t four = quickest(addresses, latencies, count, NET_IPV4);
	enum net_family turn = four && six && four < six ? NET_IPV4 : NET_IPV6;
	for (uint32_t i = 0; i < count; i++, turn = turn == NET_IPV6 ? NET_IPV4 : NET_IPV6) {
		uint32_t next = i;
		while (next < count && addresses[next].family != turn) next++;
		if (next == count) continue; /* this family is used up */
		struct net_address address = addresses[next];
		uint32_t latency = latencies[next];
		memmove(addresses + i + 1, addresses + i, (next - i) * sizeof(*addresses));
		memmove(latencies + i + 1, latencies + i, (next - i) * sizeof(*latencies));
		addresses[i] = address;
		latencies[i] = latency;
	}
}
