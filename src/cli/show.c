#include "cli/show.h"

void show_size(json_int_t octets, char *to, size_t room)
{
	static const char units[] = "BKMGT";
	double n = (double)octets;
	int unit = 0;
	for (; n >= 1024 && unit < 4; n /= 1024) unit++;
	snprintf(to, room, unit && n < 10 ? "%.1f%c" : "%.0f%c", n, units[unit]);
}

/* What waits, and until when.  */
static void show_recipient(const json_t *r)
{
	const char *next = ask_text(r, "next_attempt"), *reason = ask_text(r, "reason");
	printf("  %-6s %s", ask_text(r, "state"), ask_text(r, "address"));
	json_int_t attempts = ask_number(r, "attempts");
	if (attempts) printf("  (%lld attempt%s)", (long long)attempts, attempts == 1 ? "" : "s");
	if (*ask_text(r, "destination")) printf("  to %s", ask_text(r, "destination"));
	putchar('\n');
	if (*reason) printf("         %s", reason);
	if (*next) printf("%snext attempt %s", *reason ? "; " : "         ", next);
	if (*reason || *next) putchar('\n');
}

void show_message(const json_t *message)
{
	char size[16];
	const char *sender = ask_text(message, "sender");
	show_size(ask_number(message, "size"), size, sizeof size);
	printf("%s  %s  %6s  from %s%s\n", ask_text(message, "id"), ask_text(message, "created"),
		size, *sender ? sender : "<>",
		json_is_true(json_object_get(message, "damaged")) ? "  DAMAGED" : "");
	size_t index;
	const json_t *recipient;
	json_array_foreach(json_object_get(message, "recipients"), index, recipient)
		show_recipient(recipient);
}

void show_json(const json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
}

void show_array_add(struct show_array *a, const json_t *object)
{
	fputs(a->begun ? ",\n" : "[\n", stdout);
	a->begun = true;
	json_dumpf(object, stdout, JSON_COMPACT);
}

void show_array_end(struct show_array *a) { fputs(a->begun ? "\n]\n" : "[]\n", stdout); }
