#include "spool/segment.h"

bool segments_init(struct segments *all)
{
	*all = (struct segments){.top = 1};
	list_init(&all->free);
	all->at = calloc(SEGMENT_NUMBERS, sizeof(struct segment *));
	return all->at != NULL;
}

void segments_release(struct io *io, struct segments *all)
{
	for (uint32_t i = 1; all->at && i < all->top; i++) {
		struct segment *g = all->at[i];
		if (!g) continue;
		io_file_close(io, &g->file);
		free(g->needs);
		free(g);
	}
	free(all->at);
	all->at = NULL;
}

uint32_t segments_number(const struct segments *all)
{
	for (uint32_t i = 1; i < SEGMENT_NUMBERS; i++)
		if (!all->at[i]) return i;
	return 0;
}

struct segment *segment_add(
	struct segments *all, uint32_t number, uint64_t size, struct io_file file)
{
	ASSERT(number > 0 && number < SEGMENT_NUMBERS && !all->at[number]);
	struct segment *g = calloc(1, sizeof(*g));
	if (!g) return NULL;
	g->number = number;
	g->size = size;
	g->file = file;
	list_init(&g->link);
	all->at[number] = g;
	all->count++;
	if (number >= all->top) all->top = number + 1;
	return g;
}

void segment_drop(struct io *io, struct segments *all, struct segment *g)
{
	ASSERT(g->state == SEGMENT_FREE && list_empty(&g->link) && g->refs == 0 && g->pins == 0);
	all->at[g->number] = NULL;
	all->count--;
	while (all->top > 1 && !all->at[all->top - 1]) all->top--;
	io_file_close(io, &g->file);
	free(g->needs);
	free(g);
}

void segment_give_free(struct segments *all, struct segment *g)
{
	ASSERT(g->state == SEGMENT_FREE && list_empty(&g->link));
	list_push_back(&all->free, &g->link);
	all->free_count++;
}

struct segment *segment_take_free(struct segments *all)
{
	struct list *node = list_pop(&all->free);
	if (!node) return NULL;
	all->free_count--;
	return CONTAINER_OF(node, struct segment, link);
}

void segment_enter(struct segments *all, struct segment *g, enum segment_state state)
{
	static const enum segment_state before[] = {
		[SEGMENT_FREE] = SEGMENT_FREEING,
		[SEGMENT_OPEN] = SEGMENT_FREE,
		[SEGMENT_SEALED] = SEGMENT_OPEN,
		[SEGMENT_FREEING] = SEGMENT_SEALED,
	};
	/* An open segment whose first batch failed has never been part of the log.  */
	ASSERT(g->state == before[state] || (state == SEGMENT_FREE && g->state == SEGMENT_OPEN));
	if (state == SEGMENT_OPEN) all->octets += g->size;
	if (state == SEGMENT_FREE) all->octets -= g->size;
	g->state = (uint8_t)state;
}

void segment_hold(struct segments *all, struct segment *g, uint32_t refs, uint64_t octets)
{
	g->refs += refs;
	g->live += octets;
	all->live += octets;
}

void segment_let_go(struct segments *all, struct segment *g, uint32_t refs, uint64_t octets)
{
	ASSERT(g->refs >= refs && g->live >= octets);
	g->refs -= refs;
	g->live -= octets;
	all->live -= octets;
}

/* Without memory for the bit the segment is kept for good: that loses room, never mail.  */
void segment_need(struct segment *g, uint32_t number)
{
	if (number == g->number) return;
	uint32_t word = number / 64;
	if (word >= g->needs_words) {
		uint64_t *needs = realloc(g->needs, (word + 1) * sizeof(*needs));
		if (!needs) {
			g->keep = true;
			return;
		}
		memset(needs + g->needs_words, 0, (word + 1 - g->needs_words) * sizeof(*needs));
		g->needs = needs;
		g->needs_words = word + 1;
	}
	g->needs[word] |= 1ull << number % 64;
}

void segments_forget(struct segments *all, uint32_t number)
{
	for (uint32_t i = 1; i < all->top; i++) {
		struct segment *g = all->at[i];
		if (g && number / 64 < g->needs_words)
			g->needs[number / 64] &= ~(1ull << number % 64);
	}
}

bool segment_is_needed(const struct segment *g)
{
	for (uint32_t i = 0; i < g->needs_words; i++)
		if (g->needs[i]) return true;
	return false;
}

void segment_name(uint32_t number, char to[SEGMENT_NAME_MAX])
{
	snprintf(to, SEGMENT_NAME_MAX, "log-%06u", number);
}

bool segment_name_parse(const char *name, uint32_t *ret_number)
{
	struct str s = str_from_c(name);
	uint64_t number;
	if (s.len != 10 || !str_starts(s, STR("log-"))) return false;
	if (!str_to_u64(str_skip(s, 4), SEGMENT_NUMBERS - 1, &number) || number == 0) return false;
	*ret_number = (uint32_t)number;
	return true;
}
