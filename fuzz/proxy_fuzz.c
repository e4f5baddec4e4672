/* What speaks for others in front of a session: the PROXY header, versions 1 and 2, and XCLIENT.  A header is
 * read the same however it comes, and never behind its end.  */
#include "fuzz/fuzz.h"

#include "smtp/proxy.h"
#include "smtp/xclient.h"

static void check_address(const struct net_address *a)
{
	struct buf text;
	struct net_address again;
	ASSERT(a->family == NET_NONE || a->family == NET_IPV4 || a->family == NET_IPV6);
	if (a->family == NET_NONE) return;
	buf_init(&text, 100);
	net_add_port(&text, a);
	ASSERT(net_parse_port(buf_str(&text), 1, &again) && net_same_host(a, &again));
	buf_release(&text);
}

static void check_proxy(struct str in)
{
	struct proxy_header whole = {0}, part;
	enum proxy_result result = proxy_read(in, &whole);
	if (result == PROXY_MORE) ASSERT(in.len < PROXY_MAX);
	if (result == PROXY_WRONG) ASSERT(whole.why && *whole.why);
	if (result == PROXY_DONE) ASSERT(whole.len > 0 && whole.len <= in.len);
	if (result == PROXY_DONE) check_address(&whole.client);
	/* Fewer octets say the same, or not yet anything.  */
	size_t step = in.len / 40 + 1;
	for (size_t n = 0; n <= in.len; n += step) {
		struct str own = fuzz_own(str_head(in, n));
		enum proxy_result early = proxy_read(own, &part);
		fuzz_forget(own);
		ASSERT(early == PROXY_MORE || early == result);
		if (early == PROXY_DONE) ASSERT(n >= whole.len && part.len == whole.len);
		if (early == PROXY_DONE) ASSERT(part.client.family == whole.client.family);
	}
}

static void check_xclient(struct str in)
{
	struct smtp_xclient x;
	struct str own = fuzz_own(in);
	bool fine = smtp_xclient_parse(own, &x);
	fuzz_forget(own);
	if (!fine) return;
	ASSERT(x.given && x.helo.len <= SMTP_XCLIENT_VALUE_MAX &&
		x.login.len <= SMTP_XCLIENT_VALUE_MAX);
	ASSERT(x.given & SMTP_XCLIENT_HELO || x.helo.len == 0);
	ASSERT(x.given & SMTP_XCLIENT_LOGIN || x.login.len == 0);
	ASSERT(x.given & SMTP_XCLIENT_ADDR || x.address.family == NET_NONE);
	check_address(&x.address);
}

void fuzz_one(struct str in)
{
	check_proxy(in);
	check_xclient(in);
}
