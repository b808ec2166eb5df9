// phone_numbers.cjs - google-libphonenumber writes a corpus: for each region and kind of number its example as people write it, and what
// it reads there itself. One line each, as JSON: {"country","raw","style","e164"}; e164 is null where it refuses.
'use strict';
const { PhoneNumberFormat, PhoneNumberType, PhoneNumberUtil } = require('google-libphonenumber');

const util = PhoneNumberUtil.getInstance();
const kinds = Object.keys(PhoneNumberType).filter((name) => name !== 'UNKNOWN');
const wide = (text) => text.replace(/[0-9+]/g, (byte) => String.fromCharCode(byte.charCodeAt(0) - 0x21 + 0xff01));
const arabic = (text) => text.replace(/[0-9]/g, (byte) => String.fromCharCode(byte.charCodeAt(0) - 0x30 + 0x660));

function read(raw, country) {
  try {
    const number = util.parse(raw, country);
    return util.isPossibleNumber(number) && !number.hasExtension() ? util.format(number, PhoneNumberFormat.E164) : null;
  } catch {
    return null;
  }
}

function spellings(number, country) {
  const e164 = util.format(number, PhoneNumberFormat.E164);
  const national = util.format(number, PhoneNumberFormat.NATIONAL);
  const abroad = util.format(number, PhoneNumberFormat.INTERNATIONAL);
  return {
    e164,
    national,
    international: abroad,
    uri: util.format(number, PhoneNumberFormat.RFC3966),
    wide: wide(national),
    arabic: arabic(abroad),
    bare: util.getNationalSignificantNumber(number),
    from_es: util.formatOutOfCountryCallingNumber(number, 'ES').replace(/^\+/, '+'),
    from_us: util.formatOutOfCountryCallingNumber(number, 'US'),
    from_here: util.formatOutOfCountryCallingNumber(util.getExampleNumberForType(country === 'ES' ? 'FR' : 'ES', PhoneNumberType.MOBILE),
      country),
  };
}

for (const country of util.getSupportedRegions().sort()) {
  const seen = new Set();
  for (const kind of kinds) {
    const number = util.getExampleNumberForType(country, PhoneNumberType[kind]);
    if (!number) continue;
    for (const [style, raw] of Object.entries(spellings(number, country))) {
      const there = { from_es: 'ES', from_us: 'US' }[style] || country;
      if (seen.has(raw)) continue;
      seen.add(raw);
      console.log(JSON.stringify({ country: there, raw, style, e164: read(raw, there), of: `${country} ${kind}` }));
    }
  }
}
