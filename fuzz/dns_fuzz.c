/* Answers of name servers, damaged or malicious: bounded, and names are names; names and rules that
 * route mail.  */
#include "fuzz/fuzz.h"

#include "route/dns_message.h"
#include "route/idna.h"
#include "route/rule.h"

static void check_answer(struct str message, struct str name, enum dns_type type)
{
	struct arena arena;
	struct dns_answer a;
	arena_init(&arena, 16 << 20);
	if (dns_answer_read(message, name, type, &arena, &a)) {
		ASSERT(a.result == DNS_FOUND ? a.count > 0 : a.count == 0);
		ASSERT(a.result != DNS_BOGUS && str_find(a.canonical, '\0') == a.canonical.len);
		ASSERT(a.result != DNS_TEMPORARY || a.why.len);
		for (uint32_t i = 0; i < a.count; i++) {
			uint16_t preference;
			char text[256];
			struct str data = a.data[i];
			/* Each rdata is read as another part of the server would.  */
			if (type == DNS_MX && dns_read_mx(data, &preference, text))
				ASSERT(strlen(text) < sizeof(text));
			if (dns_read_name(data, text)) ASSERT(strlen(text) < sizeof(text));
		}
	}
	arena_release(&arena);
}

/* A question, then the input as what follows in the answer.  */
static void check_as_answer(struct str in)
{
	static const struct str name = STR("x.example");
	static const enum dns_type types[] = {DNS_MX, DNS_A, DNS_TXT, DNS_CNAME};
	struct buf message;
	buf_init(&message, in.len + 300);
	enum dns_type type = types[fuzz_below(&in, ARRAY_LEN(types))];
	ASSERT(dns_question_add(&message, 1, name, type));
	message.ptr[2] = (char)0x81;
	message.ptr[3] = (char)fuzz_octet(&in);
	message.ptr[7] = (char)fuzz_octet(&in);
	buf_add(&message, in);
	struct str own = fuzz_own(buf_str(&message));
	check_answer(own, name, type);
	fuzz_forget(own);
	buf_release(&message);
}

static void check_names(struct str in)
{
	char ascii[IDNA_NAME_MAX], again[IDNA_NAME_MAX];
	if (idna_to_ascii(in, ascii)) {
		ASSERT(idna_is_ascii(str_from_c(ascii)) && strlen(ascii) <= 255);
		ASSERT(idna_to_ascii(str_from_c(ascii), again) && strcmp(ascii, again) == 0);
	}
	struct route_rule all = {.name = STR("*")}, sub = {.name = STR(".example")},
			  one = {.name = STR("a.example")};
	struct route_table table;
	route_table_init(&table, 1);
	ASSERT(route_table_add(&table, &all) && route_table_add(&table, &sub) &&
		route_table_add(&table, &one));
	const struct route_rule *rule = route_find(&table, in);
	ASSERT(rule);
	if (rule == &sub)
		ASSERT(str_iends(in, STR(".example")) || str_find(in, '.') < in.len ||
			!idna_is_ascii(in));
	(void)route_name_valid(in);
	struct buf key;
	buf_init(&key, 4 * in.len + 300);
	route_destination_key(&key, rule, in);
	ASSERT(buf_ok(&key));
	buf_release(&key);
	route_table_release(&table);
}

void fuzz_one(struct str in)
{
	check_answer(in, STR("x.example"), DNS_MX);
	check_as_answer(in);
	check_names(in);
}
