#include "queue/state.h"

struct lane *lane_of(const struct queue *q, const struct spool_recipient *r)
{
	return table_get(&q->lanes, r->link.lane);
}

struct destination *destination_of(const struct queue *q, const struct spool_recipient *r)
{
	return lane_of(q, r)->domain->destination;
}

/* ---- turns ---- */

static struct turn *turn_of(struct destination *d, uint32_t tag)
{
	uint32_t shared = tag % QUEUE_LANES_MAX, i = 0;
	struct turn *at_shared = NULL;
	LIST_EACH (&d->turns, node) {
		struct turn *turn = CONTAINER_OF(node, struct turn, link);
		if (turn->tag == tag) return turn;
		if (i++ == shared) at_shared = turn;
	}
	if (d->turn_count >= QUEUE_LANES_MAX) return at_shared;
	struct turn *turn = queue_alloc(sizeof(*turn));
	turn->tag = tag;
	list_init(&turn->lanes);
	list_push_back(&d->turns, &turn->link);
	d->turn_count++;
	return turn;
}

/* The lane has something ready: it gets its turn at the destination.  */
static void lane_attach(struct lane *lane)
{
	lane->turn = turn_of(lane->domain->destination, lane->tag);
	list_push_back(&lane->turn->lanes, &lane->in_turn);
}

static void lane_detach(struct lane *lane)
{
	struct turn *turn = lane->turn;
	lane->turn = NULL;
	list_remove(&lane->in_turn);
	if (!list_empty(&turn->lanes)) return;
	list_remove(&turn->link);
	lane->domain->destination->turn_count--;
	free(turn);
}

static void lane_push(struct queue *q, struct lane *lane, slot recipient, bool front)
{
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	r->link.next = front ? lane->first : 0;
	r->link.prev = front ? 0 : lane->last;
	if (r->link.next) spool_recipient(q->index, r->link.next)->link.prev = recipient;
	if (r->link.prev) spool_recipient(q->index, r->link.prev)->link.next = recipient;
	if (!r->link.next) lane->last = recipient;
	if (!r->link.prev) lane->first = recipient;
	if (!lane->turn) lane_attach(lane);
}

static void lane_unlink(struct queue *q, struct lane *lane, struct spool_recipient *r)
{
	if (r->link.next)
		spool_recipient(q->index, r->link.next)->link.prev = r->link.prev;
	else
		lane->last = r->link.prev;
	if (r->link.prev)
		spool_recipient(q->index, r->link.prev)->link.next = r->link.next;
	else
		lane->first = r->link.next;
	if (!lane->first) lane_detach(lane);
}

/* ---- domains and lanes ---- */

static const struct route_rule *rule_of(
	const struct queue *q, const struct domain *domain, struct str *ret_name)
{
	struct str name = domain->node.key;
	*ret_name = name.len ? name : q->options->hostname; /* a bare local part is one of ours */
	const struct route_rule *rule = route_find(q->table, *ret_name);
	ASSERT(rule);
	return rule;
}

static struct domain *domain_get(struct queue *q, struct str name)
{
	struct map_node *node = map_find(&q->domains, name);
	if (node) return CONTAINER_OF(node, struct domain, node);
	struct domain *domain = queue_alloc(sizeof(*domain) + name.len + 1);
	for (size_t i = 0; i < name.len; i++) domain->name[i] = ascii_lower(name.ptr[i]);
	list_init(&domain->lanes);
	if (!map_insert(&q->domains, &domain->node, str_of(domain->name, name.len)))
		queue_no_memory();
	struct str asked;
	const struct route_rule *rule = rule_of(q, domain, &asked);
	domain->destination = destination_get(q, rule, asked);
	domain->destination->domains++;
	return domain;
}

static struct lane *lane_get(struct queue *q, struct domain *domain, uint32_t tag)
{
	uint32_t shared = tag % QUEUE_LANES_MAX, i = 0;
	struct lane *at_shared = NULL;
	LIST_EACH (&domain->lanes, node) {
		struct lane *lane = CONTAINER_OF(node, struct lane, in_domain);
		if (lane->tag == tag) return lane;
		if (i++ == shared) at_shared = lane;
	}
	if (domain->lane_count >= QUEUE_LANES_MAX) return at_shared;
	struct lane *lane = queue_alloc(sizeof(*lane));
	*lane = (struct lane){.tag = tag, .domain = domain, .number = table_add(&q->lanes, lane)};
	if (lane->number == 0) queue_no_memory();
	list_init(&lane->in_turn);
	list_push_back(&domain->lanes, &lane->in_domain);
	domain->lane_count++;
	return lane;
}

static void lane_drop(struct queue *q, struct lane *lane)
{
	if (--lane->count > 0) return;
	struct domain *domain = lane->domain;
	table_remove(&q->lanes, lane->number);
	list_remove(&lane->in_domain);
	free(lane);
	if (--domain->lane_count > 0) return;
	struct destination *d = domain->destination;
	map_remove(&q->domains, &domain->node);
	free(domain);
	if (--d->domains == 0) destination_plan(q, d);
}

/* ---- places ---- */

static void count(struct queue *q, struct lane *lane, enum place place, int by)
{
	q->counts[place] += (uint32_t)by;
	lane->domain->counts[place] += (uint32_t)by;
	lane->domain->destination->counts[place] += (uint32_t)by;
}

static void place_out(struct queue *q, slot recipient, struct spool_recipient *r, struct lane *lane)
{
	if (r->place == PLACE_READY) lane_unlink(q, lane, r);
	if (r->place == PLACE_WAIT) schedule_remove(&q->schedule, recipient);
	if (r->place != PLACE_NONE) count(q, lane, r->place, -1);
	r->link.next = r->link.prev = 0;
	r->place = PLACE_NONE;
}

void place_enter(struct queue *q, slot recipient, struct str domain)
{
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	uint32_t tag = spool_message(q->index, r->message)->tag;
	struct lane *lane = lane_get(q, domain_get(q, domain), tag);
	lane->count++;
	r->link.lane = lane->number;
	r->link.next = r->link.prev = 0;
	r->place = PLACE_NONE;
}

static void place_in(struct queue *q, slot recipient, enum place to, bool front)
{
	static const enum recipient_state state_of[PLACE_COUNT] = {
		[PLACE_NONE] = RECIPIENT_ACTIVE,
		[PLACE_READY] = RECIPIENT_DUE,
		[PLACE_WAIT] = RECIPIENT_DUE,
		[PLACE_HELD] = RECIPIENT_HELD,
		[PLACE_JOB] = RECIPIENT_ACTIVE,
		[PLACE_BOUNCE] = RECIPIENT_ACTIVE,
	};
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	struct lane *lane = lane_of(q, r);
	place_out(q, recipient, r, lane);
	r->place = to & 15;
	r->state = state_of[to] & 15;
	if (to != PLACE_NONE) count(q, lane, to, 1);
	if (to == PLACE_WAIT) schedule_add(&q->schedule, recipient);
	if (to != PLACE_READY) return;
	lane_push(q, lane, recipient, front);
	destination_wake(q, lane->domain->destination);
}

void place_move(struct queue *q, slot recipient, enum place to)
{
	place_in(q, recipient, to, false);
}
void place_back(struct queue *q, slot recipient) { place_in(q, recipient, PLACE_READY, true); }

void place_came_due(struct queue *q, slot recipient)
{
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	ASSERT(r->place == PLACE_WAIT);
	count(q, lane_of(q, r), PLACE_WAIT, -1);
	r->place = PLACE_NONE;
	place_move(q, recipient, PLACE_READY);
}

void place_due(struct queue *q, slot recipient)
{
	uint32_t due = spool_recipient(q->index, recipient)->due;
	place_move(q, recipient, due <= q->clock / 1000 ? PLACE_READY : PLACE_WAIT);
}

void place_leave(struct queue *q, slot recipient)
{
	place_move(q, recipient, PLACE_NONE);
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	struct lane *lane = lane_of(q, r);
	r->link.lane = 0;
	lane_drop(q, lane);
}

/* ---- another configuration ---- */

static void domain_move(struct queue *q, struct domain *domain, struct destination *to)
{
	struct destination *from = domain->destination;
	LIST_EACH (&domain->lanes, node) {
		struct lane *lane = CONTAINER_OF(node, struct lane, in_domain);
		if (lane->turn) lane_detach(lane);
	}
	for (int i = 0; i < PLACE_COUNT; i++) {
		from->counts[i] -= domain->counts[i];
		to->counts[i] += domain->counts[i];
	}
	from->domains--;
	to->domains++;
	domain->destination = to;
	LIST_EACH (&domain->lanes, node) {
		struct lane *lane = CONTAINER_OF(node, struct lane, in_domain);
		if (lane->first) lane_attach(lane);
	}
	destination_plan(q, from);
	destination_wake(q, to);
}

void place_reroute(struct queue *q)
{
	for (struct map_node *node = map_next(&q->domains, NULL); node;
		node = map_next(&q->domains, node)) {
		struct domain *domain = CONTAINER_OF(node, struct domain, node);
		struct str asked;
		const struct route_rule *rule = rule_of(q, domain, &asked);
		struct destination *d = destination_get(q, rule, asked);
		destination_set_rule(q, d, rule);
		if (d != domain->destination) domain_move(q, domain, d);
	}
}

void place_release(struct queue *q)
{
	for (struct map_node *node; (node = map_next(&q->domains, NULL));) {
		struct domain *domain = CONTAINER_OF(node, struct domain, node);
		map_remove(&q->domains, node);
		for (struct list *link; (link = list_pop(&domain->lanes));) {
			struct lane *lane = CONTAINER_OF(link, struct lane, in_domain);
			if (lane->turn) lane_detach(lane);
			free(lane);
		}
		free(domain);
	}
	map_release(&q->domains);
	table_release(&q->lanes);
}
