#include "mail/dsn_private.h"

enum { ANY = UINT16_MAX };

struct words_row {
	uint16_t subject, detail;
	const char *failed;
	const char *delayed; /* NULL: as the row for the whole subject */
};

/* The first row that fits counts: a subject's own words stand behind its details'.  Source: RFC
 * 3463 3 and the registry it founded (RFC 5248, 7372, 7505, 8689).  */
static const struct words_row rows[] = {
	{1, 1,
		"There is no such mailbox at that domain. Check the spelling of the address; if it is "
		"right, ask the recipient in another way for the one in use now.",
		NULL},
	{1, 2, "The domain behind the @ does not exist. Check its spelling.",
		"The domain behind the @ could not be found so far."},
	{1, 3,
		"The address is not written as addresses are. Check it for missing or extra "
		"characters.",
		NULL},
	{1, 4, "The address fits more than one mailbox there. Ask the recipient for the full address.",
		NULL},
	{1, 6, "The recipient has moved and left no new address. Ask for it in another way.", NULL},
	{1, 7,
		"Your own address, the sender's, is not written as addresses are. Check the settings "
		"of your mail program.",
		NULL},
	{1, 8,
		"Your own address, the sender's, is not accepted there. Check the settings of your "
		"mail program.",
		NULL},
	{1, 10,
		"The domain says that it takes no mail at all. Check its spelling, or reach the "
		"recipient in another way.",
		NULL},
	{1, ANY, "The address was not accepted. Check its spelling.",
		"The address could not be checked so far."},
	{2, 1, "The mailbox is switched off. Reach the recipient in another way.", NULL},
	{2, 2, "The mailbox is full. Try again later, or tell the recipient in another way.",
		"The mailbox is full."},
	{2, 3,
		"The message is larger than the mailbox takes. Send less at once, or a link to the "
		"large part.",
		NULL},
	{2, 4, "The mailing list could not be expanded there. Tell its owner.", NULL},
	{2, ANY, "The mailbox could not take the message. Try again later.",
		"The mailbox cannot take mail at present."},
	{3, 1, "The receiving system has no room for mail. Try again later.", NULL},
	{3, 2, "The receiving system does not take mail at present. Try again later.", NULL},
	{3, 4,
		"The message is larger than the receiving system takes. Send less at once, or a link "
		"to the large part.",
		NULL},
	{3, ANY, "The receiving system could not take the message. Try again later.",
		"The receiving system cannot take mail at present."},
	{4, 1,
		"The receiving system does not answer. Check the domain's spelling, or try again "
		"later.",
		"The receiving system does not answer."},
	{4, 2, "The connection to the receiving system broke each time. Try again later.",
		"The connection to the receiving system broke."},
	{4, 3,
		"The directory that says where the domain's mail goes does not answer. Try again "
		"later.",
		"The directory that says where the domain's mail goes does not answer."},
	{4, 4, "No system is known that takes mail for the domain. Check its spelling.",
		"It cannot be found out where the domain's mail goes."},
	{4, 5, "The receiving system was too busy. Try again later.",
		"The receiving system is busy."},
	{4, 6,
		"The message went round in circles between mail systems. Tell the administrator of "
		"the recipient's domain.",
		"The message seems to go round in circles."},
	{4, 7,
		"The message could not be delivered in the time that is allowed for it. Try again "
		"later.",
		NULL},
	{4, ANY, "The receiving system could not be reached. Try again later.",
		"The receiving system could not be reached so far."},
	{5, 3,
		"The message has more recipients than the receiving system takes at once. Send it to "
		"fewer at once.",
		NULL},
	{5, ANY,
		"The receiving system did not understand what was asked of it. Tell your "
		"administrator.",
		"The receiving system answered in a way that makes no sense."},
	{6, 3,
		"The message holds characters that the receiving system cannot take, and it cannot be "
		"converted. Send it as plain text or as an attachment, without a signature.",
		NULL},
	{6, 7,
		"An address or a header of the message needs international characters that the "
		"receiving system cannot take. Use addresses in plain letters.",
		NULL},
	{6, ANY,
		"The form of the message was not accepted. Send it in a simpler form, as plain text.",
		"The form of the message was not accepted."},
	{7, 1,
		"The receiving system refuses the message by its rules. If you think that is wrong, "
		"ask the recipient or the administrator there.",
		"The receiving system asks to wait, by its rules."},
	{7, 2, "Only some may send to that mailing list. Ask its owner.", NULL},
	{7, 8, "Our system could not log in at the next one. Tell your administrator.", NULL},
	{7, 13, "The recipient's account is switched off. Reach the recipient in another way.",
		NULL},
	{7, 20, "The signature of the message was not accepted. Tell your administrator.", NULL},
	{7, 23,
		"Our system is not among those that may send mail for your domain (SPF). Tell your "
		"administrator.",
		NULL},
	{7, 25, "The receiving system does not accept the name of ours. Tell your administrator.",
		NULL},
	{7, 26,
		"The receiving system could not verify that the message is from your domain. Tell "
		"your administrator.",
		NULL},
	{7, 30,
		"You asked for encryption all the way, and the next system does not promise it. Send "
		"the message without that wish, if you may.",
		NULL},
	{7, ANY,
		"The receiving system refuses the message for reasons of security or policy. If you "
		"think that is wrong, ask the recipient or the administrator there.",
		"The receiving system asks to wait, for reasons of its own."},
	{ANY, ANY, "The message was not accepted.", "The message could not be delivered so far."},
};

static bool fits(const struct words_row *row, const struct enhanced *e)
{
	return row->subject == ANY ||
		(row->subject == e->subject && (row->detail == ANY || row->detail == e->detail));
}

struct str dsn_words_failed(const struct outcome *o)
{
	const struct words_row *row = rows;
	while (!fits(row, &o->enhanced)) row++;
	return str_from_c(row->failed);
}

struct str dsn_words_delayed(const struct outcome *o)
{
	const struct words_row *row = rows;
	while (!fits(row, &o->enhanced) || !row->delayed) row++;
	return str_from_c(row->delayed);
}
