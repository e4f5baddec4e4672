#include "queue/breaker.h"

static bool is_refusal(const struct outcome *o)
{
	return o->class == OUTCOME_FAILED && o->remote && o->code >= 500;
}

static bool is_mailbox(struct enhanced e)
{
	enum { BAD_SENDER = 8 };
	return e.class == 5 &&
		((e.subject == 1 && e.detail >= 1 && e.detail != BAD_SENDER) || e.subject == 2);
}

enum breaker_weight breaker_weigh(const struct outcome *outcomes, uint32_t count)
{
	enum breaker_weight weight = BREAKER_NEUTRAL;
	for (uint32_t i = 0; i < count; i++) {
		if (outcomes[i].class == OUTCOME_DELIVERED) return BREAKER_DELIVERED;
		if (!is_refusal(&outcomes[i])) continue;
		if (!is_mailbox(outcomes[i].enhanced))
			weight = BREAKER_REFUSED;
		else if (weight == BREAKER_NEUTRAL)
			weight = BREAKER_MAILBOX;
	}
	return weight;
}

bool breaker_count(struct breaker *b, enum breaker_weight weight, uint32_t messages)
{
	if (weight == BREAKER_DELIVERED) *b = (struct breaker){0};
	if (weight <= 0 || messages == 0) return false;
	uint64_t limit = (uint64_t)messages * BREAKER_REFUSED;
	if (!b->open) {
		b->score += (uint32_t)weight;
		if (b->score < limit) return false;
		b->open = true;
	}
	b->pauses++;
	return true;
}

msec breaker_pause(const struct breaker *b)
{
	uint32_t doublings = b->pauses > 1 ? b->pauses - 1 : 0;
	return doublings < 4 ? MINUTES(15) << doublings : HOURS(4);
}
