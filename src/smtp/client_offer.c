#include "smtp/client_private.h"

static bool next_word(struct str *s, struct str *ret_word)
{
	*s = str_trim(*s);
	if (s->len == 0) return false;
	str_cut(s, ' ', ret_word);
	return true;
}

/* "RCPTMAX=20" ... (RFC 9422 3); unknown limits are none to us.  */
static void read_limits(struct smtp_offer *offer, struct str args)
{
	const struct {
		struct str name;
		uint32_t *value;
	} known[] = {
		{STR("RCPTMAX="), &offer->rcpt_max},
		{STR("MAILMAX="), &offer->mail_max},
		{STR("RCPTDOMAINMAX="), &offer->rcpt_domain_max},
	};
	struct str word;
	while (next_word(&args, &word)) {
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			uint64_t n;
			if (!str_istarts(word, known[i].name)) continue;
			if (str_to_u64(str_skip(word, known[i].name.len), UINT32_MAX, &n))
				*known[i].value = (uint32_t)n;
		}
	}
}

/* Mechanisms are added up over several AUTH lines; what does not fit is as if not offered.  */
static void read_auth(struct smtp_offer *offer, struct str args)
{
	struct str word;
	while (next_word(&args, &word)) {
		size_t at = strlen(offer->auth);
		size_t gap = at ? 1 : 0;
		if (at + gap + word.len >= sizeof(offer->auth)) continue;
		if (gap) offer->auth[at++] = ' ';
		memcpy(offer->auth + at, word.ptr, word.len);
		offer->auth[at + word.len] = '\0';
	}
}

static void read_size(struct smtp_offer *offer, struct str args)
{
	uint64_t n;
	offer->size = true;
	if (str_to_u64(str_trim(args), UINT64_MAX, &n)) offer->size_max = n;
}

static void read_line(struct smtp_offer *offer, struct str line)
{
	const struct {
		struct str name;
		bool *flag;
	} plain[] = {
		{STR("PIPELINING"), &offer->pipelining},
		{STR("8BITMIME"), &offer->eightbit},
		{STR("SMTPUTF8"), &offer->utf8},
		{STR("CHUNKING"), &offer->chunking},
		{STR("BINARYMIME"), &offer->binary},
		{STR("DSN"), &offer->dsn},
		{STR("STARTTLS"), &offer->starttls},
		{STR("REQUIRETLS"), &offer->requiretls},
		{STR("ENHANCEDSTATUSCODES"), &offer->enhanced},
	};
	struct str keyword;
	if (!next_word(&line, &keyword)) return;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (str_ieq(keyword, plain[i].name)) *plain[i].flag = true;
	if (str_ieq(keyword, STR("SIZE"))) read_size(offer, line);
	if (str_ieq(keyword, STR("LIMITS"))) read_limits(offer, line);
	if (str_ieq(keyword, STR("AUTH"))) read_auth(offer, line);
	/* "AUTH=LOGIN PLAIN": an old form that some still send beside the other or alone.  */
	if (str_istarts(keyword, STR("AUTH=")) && !offer->auth[0]) {
		read_auth(offer, str_skip(keyword, 5));
		read_auth(offer, line);
	}
}

void smtp_offer_read(struct smtp_offer *offer, struct str ehlo_text)
{
	*offer = (struct smtp_offer){.esmtp = true};
	struct str line;
	str_cut(&ehlo_text, '\n', &line); /* the greeting */
	while (ehlo_text.len) {
		str_cut(&ehlo_text, '\n', &line);
		read_line(offer, line);
	}
}

struct outcome smtp_client_fits(const struct smtp_client *c, const struct smtp_transaction *t)
{
	const struct smtp_offer *offer = &c->offer;
	uint32_t flags = t->envelope->flags;
	if (flags & ENVELOPE_REQUIRETLS && !(offer->requiretls && c->secured))
		return outcome_local(OUTCOME_FAILED, "5.7.30",
			STR("the sender requires TLS all the way, the next hop does not offer it"));
	if (flags & ENVELOPE_UTF8 && !offer->utf8)
		return outcome_local(
			OUTCOME_FAILED, "5.6.7", STR("the next hop does not offer SMTPUTF8"));
	if (flags & ENVELOPE_BINARY && !(offer->binary && offer->chunking))
		return outcome_local(
			OUTCOME_FAILED, "5.6.3", STR("the next hop does not offer BINARYMIME"));
	if (flags & ENVELOPE_8BIT && !offer->eightbit)
		return outcome_local(
			OUTCOME_FAILED, "5.6.3", STR("the next hop does not offer 8BITMIME"));
	if (offer->size_max && t->size > offer->size_max)
		return outcome_local(
			OUTCOME_FAILED, "5.3.4", STR("larger than the next hop takes"));
	return (struct outcome){0};
}
