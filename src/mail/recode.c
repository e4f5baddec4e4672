#include "mail/recode.h"

enum { TEXT_LINE_MAX = 998 };             /* RFC 5322 2.1.1 */
enum { KEEP, TO_QP, TO_BASE64, RELABEL }; /* what is done to an entity */
enum { FIELD_OTHER, FIELD_TYPE, FIELD_ENCODING };

/* Containers are relabelled only when something in the message is re-coded at all.  */
static const struct str new_labels[] = {
	[TO_QP] = STR("Content-Transfer-Encoding: quoted-printable\r\n"),
	[TO_BASE64] = STR("Content-Transfer-Encoding: base64\r\n"),
	[RELABEL] = STR("Content-Transfer-Encoding: 7bit\r\n"),
};

static void put(struct recode *r, struct str s, struct buf *out)
{
	r->written += s.len;
	if (out) buf_add(out, s);
}

static void fault(struct recode *r, enum recode_fault why)
{
	if (r->fault == RECODE_FINE) r->fault = why;
}

static bool beyond_seven_bit(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t octet = (uint8_t)s.ptr[i];
		if (octet > 0x7f || octet == 0 || octet == '\r' || octet == '\n') return true;
	}
	return false;
}

static bool in_signed(const struct recode *r)
{
	for (size_t i = 0; i < r->depth; i++)
		if (r->levels[i].is_signed) return true;
	return r->dkim;
}

/* ---- what was decided ---- */

static void decide(struct recode *r, uint8_t action)
{
	uint32_t n = r->entity - 1;
	unsigned shifted = (unsigned)action << n % 4 * 2;
	r->actions[n / 4] = (uint8_t)(r->actions[n / 4] | shifted);
}

static unsigned decided(const struct recode *r)
{
	uint32_t n = r->entity - 1;
	unsigned four = r->actions[n / 4];
	if (r->needed == 0) return KEEP;
	return four >> n % 4 * 2 & 3;
}

/* ---- entities ---- */

static void begin_entity(struct recode *r, bool is_message, bool in_digest)
{
	if (r->entity == RECODE_ENTITIES) return fault(r, RECODE_DEEP);
	r->entity++;
	r->where = RECODE_IN_HEADER;
	r->is_message = is_message;
	r->in_digest = in_digest;
	r->has_mime_version = r->has_type = r->has_encoding = r->needs = r->crlf_held = false;
	r->encoding = MIME_7BIT;
	r->type = (struct mime_type){0};
	r->label_size = r->raw_size = r->added = 0;
	r->field = FIELD_OTHER;
	r->value_len = 0;
	r->action = r->writing ? (uint8_t)decided(r) : KEEP;
}

/* Which encoding a leaf gets when it needs one; KEEP: none can be.  */
static uint8_t encoding_for(const struct recode *r)
{
	if (r->encoding == MIME_ENCODED) return KEEP;
	switch (r->type.kind) {
	case MIME_TEXT: return TO_QP;
	case MIME_DATA:
	case MIME_MESSAGE_GLOBAL: return TO_BASE64;
	case MIME_MULTIPART: /* without a boundary */
	case MIME_MESSAGE:
	case MIME_MESSAGE_OTHER: return KEEP;
	}
	UNREACHABLE();
}

static void add_field(struct recode *r, struct str line, struct buf *out)
{
	if (r->writing)
		put(r, line, out);
	else
		r->added += line.len;
}

/* The end of a leaf's header section; what re-coding adds is written, or counted in case it
 * will be.  */
static void begin_leaf(struct recode *r, struct buf *out)
{
	r->where = RECODE_IN_LEAF;
	uint8_t would = encoding_for(r);
	if (r->writing ? r->action == KEEP : would == KEEP) return;
	add_field(r, new_labels[would], out);
	if (r->is_message && !r->has_mime_version) add_field(r, STR("MIME-Version: 1.0\r\n"), out);
	if (!r->has_type) /* RFC 1428 3: nobody said what the octets over 127 are */
		add_field(r, STR("Content-Type: text/plain; charset=unknown-8bit\r\n"), out);
	encoder_init(&r->encoder, would == TO_QP ? ENCODING_QP : ENCODING_BASE64);
}

/* A container's label must not promise less than 7bit any more.  */
static void label_container(struct recode *r, struct buf *out)
{
	if (r->writing) {
		if (r->action == RELABEL) put(r, new_labels[RELABEL], out);
		return;
	}
	r->labels_before += r->label_size;
	if (r->encoding == MIME_7BIT || in_signed(r)) {
		r->labels_after += r->label_size;
	} else {
		decide(r, RELABEL);
		r->labels_after += new_labels[RELABEL].len;
	}
}

static void enter_multipart(struct recode *r)
{
	if (r->depth == RECODE_LEVELS) return fault(r, RECODE_DEEP);
	struct recode_level *level = &r->levels[r->depth++];
	memcpy(level->boundary, r->type.boundary, r->type.boundary_len);
	level->boundary_len = r->type.boundary_len;
	level->is_signed = r->type.is_signed;
	level->digest = r->type.digest;
	r->where = RECODE_IN_MULTIPART;
}

static void end_header(struct recode *r, struct str empty_line, struct buf *out)
{
	if (!r->has_type) r->type.kind = r->in_digest ? MIME_MESSAGE : MIME_TEXT;
	bool plain = r->encoding != MIME_ENCODED;
	bool multipart = plain && r->type.kind == MIME_MULTIPART && r->type.boundary_len;
	bool message = plain && r->type.kind == MIME_MESSAGE;
	if (multipart || message)
		label_container(r, out);
	else
		begin_leaf(r, out);
	put(r, empty_line, out);
	if (multipart) enter_multipart(r);
	if (message) begin_entity(r, true, false);
}

/* A leaf is over.  at_boundary: the line end before the boundary is the boundary's (RFC 2046
 * 5.1.1).  */
static void end_leaf(struct recode *r, bool at_boundary, struct buf *out)
{
	uint8_t would = encoding_for(r);
	bool coding = r->writing ? r->action != KEEP : would != KEEP;
	uint64_t tail = 0;
	if (coding) {
		struct buf *to = r->writing ? out : NULL;
		if (r->crlf_held && !at_boundary) encoder_line_end(&r->encoder, to);
		encoder_end(&r->encoder, to);
		bool base64_at_end = !at_boundary && would == TO_BASE64 && r->encoder.size;
		if ((r->crlf_held && at_boundary) || base64_at_end) tail = 2;
	}
	if (r->writing) {
		if (coding) r->written += r->encoder.size;
		if (tail) put(r, STR("\r\n"), out);
		return;
	}
	if (!r->needs) {
		r->written += r->label_size + r->raw_size;
		return;
	}
	if (in_signed(r))
		fault(r, RECODE_SIGNED);
	else if (would == KEEP)
		fault(r, RECODE_FIXED);
	decide(r, would);
	r->needed++;
	r->written += r->added + r->encoder.size + tail;
}

static void end_entity(struct recode *r, bool at_boundary, struct buf *out)
{
	if (r->where == RECODE_IN_LEAF)
		end_leaf(r, at_boundary, out);
	else if (r->where == RECODE_IN_HEADER && !r->writing)
		r->written += r->label_size;
}

/* ---- lines; text is without the line end, whole with it ---- */

static void end_field(struct recode *r)
{
	struct str value = str_trim(str_of(r->value, r->value_len));
	if (r->field == FIELD_TYPE && !r->has_type) {
		r->has_type = true;
		mime_parse_type(value, &r->type);
	} else if (r->field == FIELD_ENCODING && !r->has_encoding) {
		r->has_encoding = true;
		r->encoding = mime_parse_encoding(value);
	}
	r->field = FIELD_OTHER;
	r->value_len = 0;
}

static void begin_field(struct recode *r, struct str line)
{
	struct str name;
	if (!str_cut(&line, ':', &name)) return; /* no field, whatever it looks like */
	name = str_trim(name);
	if (str_ieq(name, STR("Content-Type"))) r->field = FIELD_TYPE;
	if (str_ieq(name, STR("Content-Transfer-Encoding"))) r->field = FIELD_ENCODING;
	if (str_ieq(name, STR("MIME-Version"))) r->has_mime_version = true;
	bool signature =
		str_ieq(name, STR("DKIM-Signature")) || str_ieq(name, STR("ARC-Message-Signature"));
	if (r->entity == 1 && signature) r->dkim = true;
}

static void header_line(
	struct recode *r, struct str text, struct str whole, bool first, struct buf *out)
{
	if (beyond_seven_bit(text)) fault(r, RECODE_HEADER);
	bool folded = first && text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t');
	if (first && !folded) {
		end_field(r);
		if (text.len == 0) return end_header(r, whole, out);
		begin_field(r, text);
		size_t colon = str_find(text, ':');
		if (r->field != FIELD_OTHER) text = str_skip(text, colon + 1);
	}
	size_t room = sizeof(r->value) - r->value_len;
	if (r->field != FIELD_OTHER) {
		struct str part = str_head(text, room);
		memcpy(r->value + r->value_len, part.ptr, part.len);
		r->value_len = (uint16_t)(r->value_len + part.len);
	}
	if (r->field != FIELD_ENCODING || (r->writing && r->action == KEEP))
		put(r, whole, out);
	else if (!r->writing)
		r->label_size += whole.len;
}

static void leaf_line(struct recode *r, struct str text, struct str whole, struct buf *out)
{
	bool coding = r->writing ? r->action != KEEP : encoding_for(r) != KEEP;
	if (!r->writing) {
		bool is_long = r->line_before + text.len > TEXT_LINE_MAX;
		bool bad = beyond_seven_bit(text);
		if (bad || (is_long && encoding_for(r) != KEEP)) r->needs = true;
		r->raw_size += whole.len;
	} else if (!coding) {
		put(r, whole, out);
	}
	if (!coding) return;
	struct buf *to = r->writing ? out : NULL;
	if (r->crlf_held) encoder_line_end(&r->encoder, to);
	r->crlf_held = false;
	encoder_add(&r->encoder, text, to);
	if (whole.len > text.len) r->crlf_held = true;
}

/* "--boundary" or "--boundary--", white space behind it allowed (RFC 2046 5.1.1).  */
static bool is_boundary(const struct recode_level *level, struct str text, bool *ret_closing)
{
	text = str_skip(text, 2);
	if (!str_starts(text, str_of(level->boundary, level->boundary_len))) return false;
	text = str_skip(text, level->boundary_len);
	*ret_closing = str_starts(text, STR("--"));
	if (*ret_closing) text = str_skip(text, 2);
	/* A bare CR or LF is no white space: it would go out as it is.  */
	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) text = str_skip(text, 1);
	return text.len == 0;
}

static bool boundary_line(struct recode *r, struct str text, struct str whole, struct buf *out)
{
	if (r->depth == 0 || !str_starts(text, STR("--"))) return false;
	for (uint8_t i = r->depth; i-- > 0;) {
		bool closing;
		if (!is_boundary(&r->levels[i], text, &closing)) continue;
		end_entity(r, true, out);
		put(r, whole, out);
		r->depth = closing ? i : (uint8_t)(i + 1);
		r->where = RECODE_IN_MULTIPART;
		if (!closing) begin_entity(r, false, r->levels[i].digest);
		return true;
	}
	return false;
}

/* A line, or a part of a long one: `whole` ends in CRLF when its end is there.  */
static void take_line(struct recode *r, struct str whole, bool has_end, struct buf *out)
{
	bool first = r->line_before == 0;
	struct str text = has_end ? str_head(whole, whole.len - 2) : whole;
	if (first && boundary_line(r, text, whole, out)) return;
	if (r->where == RECODE_IN_HEADER) {
		header_line(r, text, whole, first, out);
	} else if (r->where == RECODE_IN_LEAF) {
		leaf_line(r, text, whole, out);
	} else {
		if (beyond_seven_bit(text)) fault(r, RECODE_OUTSIDE);
		put(r, whole, out);
	}
	r->line_before = has_end ? 0 : r->line_before + text.len;
}

/* ---- passes ---- */

static void begin_pass(struct recode *r)
{
	r->written = 0;
	r->line_len = 0;
	r->line_before = 0;
	r->depth = 0;
	r->entity = 0;
	begin_entity(r, true, false);
}

void recode_init(struct recode *r)
{
	memset(r, 0, sizeof(*r));
	begin_pass(r);
}

void recode_rewind(struct recode *r)
{
	ASSERT(r->fault == RECODE_FINE && !r->writing);
	r->writing = true;
	begin_pass(r);
}

static bool good(const struct recode *r, const struct buf *out)
{
	return r->fault == RECODE_FINE && (!out || buf_ok(out));
}

bool recode_feed(struct recode *r, struct str octets, struct buf *out)
{
	ASSERT(r->writing == (out != NULL));
	while (octets.len && good(r, out)) {
		struct str part = str_head(octets, sizeof(r->line) - r->line_len);
		size_t lf = str_find(part, '\n');
		if (lf < part.len) part = str_head(part, lf + 1);
		memcpy(r->line + r->line_len, part.ptr, part.len);
		r->line_len = (uint16_t)(r->line_len + part.len);
		octets = str_skip(octets, part.len);
		struct str line = str_of(r->line, r->line_len);
		if (line.len >= 2 && line.ptr[line.len - 1] == '\n' &&
			line.ptr[line.len - 2] == '\r') {
			take_line(r, line, true, out);
			r->line_len = 0;
		} else if (line.len == sizeof(r->line)) {
			/* A CR at the end may be half of a line end.  */
			bool cr = line.ptr[line.len - 1] == '\r';
			take_line(r, str_head(line, line.len - cr), false, out);
			r->line[0] = '\r';
			r->line_len = cr;
		}
	}
	return good(r, out);
}

bool recode_end(struct recode *r, struct buf *out)
{
	if (r->line_len && good(r, out)) take_line(r, str_of(r->line, r->line_len), false, out);
	r->line_len = 0;
	if (good(r, out)) end_entity(r, false, out);
	if (!r->writing)
		r->size = r->written + (r->needed ? r->labels_after : r->labels_before);
	else if (good(r, out))
		ASSERT(r->written == r->size);
	return good(r, out);
}

struct outcome recode_outcome(const struct recode *r)
{
	static const struct str words[] = {
		[RECODE_HEADER] = STR("8-bit octets in a header cannot be converted"),
		[RECODE_OUTSIDE] = STR("8-bit octets outside of the parts cannot be converted"),
		[RECODE_SIGNED] = STR("converting it to 7 bits would break its signature"),
		[RECODE_FIXED] = STR("a part of it cannot be converted to 7 bits"),
		[RECODE_DEEP] = STR("too many or too deeply nested parts to convert to 7 bits"),
	};
	ASSERT(r->fault != RECODE_FINE && r->fault < ARRAY_LEN(words));
	return outcome_local(OUTCOME_FAILED, "5.6.3", words[r->fault]);
}
