#include "smtp/client_private.h"

/* Answered commands are dropped when room is wanted, so that the array is no larger than what is
 * under way.  */
static void drop_answered(struct smtp_client *c)
{
	uint32_t n = c->answered;
	if (n < c->planned - n) return; /* not worth the move yet */
	buf_consume(&c->plan, n * sizeof(struct smtp_planned));
	c->planned -= n;
	c->sent -= n;
	c->answered = 0;
}

bool smtp_plan_reserve(struct smtp_client *c, uint32_t more)
{
	drop_answered(c);
	bool room = buf_reserve(&c->plan, more * sizeof(struct smtp_planned));
	c->plan.failed = false; /* there may be room later */
	return room;
}

void smtp_plan_push(struct smtp_client *c, enum smtp_step step, uint8_t flight, uint32_t index)
{
	ASSERT(c->plan.len + sizeof(struct smtp_planned) <= c->plan.cap);
	*smtp_planned_at(c, c->planned++) = (struct smtp_planned){(uint8_t)step, flight, index};
	c->plan.len += sizeof(struct smtp_planned);
}

static void count_sent(struct smtp_client *c, const struct smtp_planned *p)
{
	c->sent++;
	if (p->flight != SMTP_NO_FLIGHT) c->flights[p->flight].pending++;
}

void smtp_plan_push_sent(struct smtp_client *c, enum smtp_step step, uint8_t flight, uint32_t index)
{
	ASSERT(c->sent == c->planned);
	smtp_plan_push(c, step, flight, index);
	count_sent(c, smtp_planned_at(c, c->planned - 1));
}

void smtp_plan_command(struct smtp_client *c, enum smtp_step step)
{
	if (!smtp_plan_reserve(c, 1)) {
		smtp_client_fail_memory(c);
		return;
	}
	smtp_plan_push(c, step, SMTP_NO_FLIGHT, 0);
	smtp_plan_pump(c);
}

void smtp_plan_cut(struct smtp_client *c)
{
	c->planned = c->sent;
	c->plan.len = c->planned * sizeof(struct smtp_planned);
}

/* Without PIPELINING one command at a time; with it everything of a transaction's group may go,
 * since DATA is planned last, and nothing is planned behind it before its content is given (RFC
 * 2920 3.1).  */
static bool may_send(const struct smtp_client *c)
{
	return c->offer.pipelining || c->sent == c->answered;
}

void smtp_plan_pump(struct smtp_client *c)
{
	while (c->sent < c->planned && may_send(c) && smtp_client_room(c, SMTP_COMMAND_MAX)) {
		struct smtp_planned p = *smtp_planned_at(c, c->sent);
		smtp_command_add(c, &p);
		count_sent(c, &p);
	}
	if (!buf_ok(&c->out)) smtp_client_fail_memory(c);
}
