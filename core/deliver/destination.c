#include "destination.h"

/* yahoo.co.jp is not among them: another company runs it. */
static const char *const google[] = {"gmail.com", "googlemail.com", NULL};
static const char *const microsoft[] = {
    "outlook.com",   "hotmail.com",   "live.com",     "msn.com",      "passport.com",  "outlook.de",  "outlook.fr",
    "outlook.es",    "outlook.it",    "outlook.jp",   "outlook.com.br", "outlook.co.th", "outlook.dk", "outlook.pt",
    "outlook.ie",    "outlook.at",    "outlook.be",   "outlook.cz",   "hotmail.co.uk", "hotmail.fr",  "hotmail.de",
    "hotmail.es",    "hotmail.it",    "hotmail.nl",   "hotmail.be",   "hotmail.se",    "hotmail.no",  "hotmail.dk",
    "hotmail.ca",    "hotmail.co.jp", "hotmail.com.br", "hotmail.com.ar", "live.co.uk", "live.fr",    "live.de",
    "live.it",       "live.nl",       "live.be",      "live.se",      "live.no",       "live.dk",     "live.ca",
    "live.com.au",   "live.com.mx",   "live.jp",      "windowslive.com", NULL};
static const char *const yahoo[] = {
    "yahoo.com",    "ymail.com",    "rocketmail.com", "aol.com",      "aim.com",      "aol.co.uk",    "aol.de",       "aol.fr",
    "yahoo.co.uk",  "yahoo.fr",     "yahoo.de",       "yahoo.es",     "yahoo.it",     "yahoo.ca",     "yahoo.ie",     "yahoo.gr",
    "yahoo.ro",     "yahoo.pl",     "yahoo.se",       "yahoo.no",     "yahoo.dk",     "yahoo.in",     "yahoo.co.in",  "yahoo.co.id",
    "yahoo.com.br", "yahoo.com.ar", "yahoo.com.mx",   "yahoo.com.au", "yahoo.com.sg", "yahoo.com.ph", "yahoo.com.tr", "myyahoo.com",
    NULL};
static const char *const apple[] = {"icloud.com", "me.com", "mac.com", NULL};
static const char *const *const providers[] = {google, microsoft, yahoo, apple};

parley_text destination_of(parley_text domain)
{
  for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
    for (const char *const *one = providers[i]; *one != NULL; one++)
      if (parley_text_is(domain, *one))
        return parley_text_of(providers[i][0]);
  return domain;
}
