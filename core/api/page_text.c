#include "page_text.h"
#include "core/base/alloc.h"
#include "core/base/text.h"

#define ACCEPTED_MAX 32 /* languages of one header that are looked at */

static const char *const words[WORDS][LANGS] = {
    [W_TAG] = {"en", "de", "es", "fr"},
    [W_UNSUBSCRIBE] = {"Unsubscribe", "Abbestellen", "Darse de baja", "Se désabonner"},
    [W_UNSUBSCRIBE_ASK] = {"Do you want to stop receiving “{0}” by {1}?", "Möchten Sie „{0}“ nicht mehr per {1} erhalten?",
                           "¿Quiere dejar de recibir «{0}» por {1}?", "Voulez-vous ne plus recevoir « {0} » par {1} ?"},
    [W_UNSUBSCRIBED] = {"You are unsubscribed", "Sie sind abgemeldet", "Se ha dado de baja", "Vous êtes désabonné"},
    [W_UNSUBSCRIBED_SAYS] = {"You will not receive “{0}” by {1} any more. This holds from now on.",
                             "Sie erhalten „{0}“ nicht mehr per {1}. Das gilt ab sofort.",
                             "Ya no recibirá «{0}» por {1}. Tiene efecto desde ahora mismo.",
                             "Vous ne recevrez plus « {0} » par {1}. Cela prend effet immédiatement."},
    [W_FOR_ADDRESS] = {"Address: {0}", "Adresse: {0}", "Dirección: {0}", "Adresse : {0}"},
    [W_CHOOSE] = {"Choose what you receive", "Auswählen, was Sie erhalten", "Elegir lo que recibe", "Choisir ce que vous recevez"},
    [W_PREFERENCES] = {"Your messages", "Ihre Nachrichten", "Sus mensajes", "Vos messages"},
    [W_PREFERENCES_SAYS] = {"Tick what you want to receive, and how.",
                            "Kreuzen Sie an, was Sie erhalten möchten und auf welchem Weg.",
                            "Marque lo que quiere recibir y por qué medio.",
                            "Cochez ce que vous voulez recevoir, et par quel moyen."},
    [W_TOPIC] = {"Topic", "Thema", "Tema", "Sujet"},
    [W_SAVE] = {"Save", "Speichern", "Guardar", "Enregistrer"},
    [W_SAVED] = {"Your choice is saved. It holds from now on.", "Ihre Auswahl ist gespeichert. Sie gilt ab sofort.",
                 "Su elección está guardada. Tiene efecto desde ahora mismo.",
                 "Votre choix est enregistré. Il prend effet immédiatement."},
    [W_STOP_ALL] = {"No more newsletters and offers", "Keine Newsletter und Angebote mehr", "Ningún boletín ni oferta más",
                    "Plus de newsletters ni d’offres"},
    [W_NOTHING_TO_CHOOSE] = {"There is nothing to choose at the moment.", "Zurzeit gibt es nichts auszuwählen.",
                             "Por ahora no hay nada que elegir.", "Il n’y a rien à choisir pour le moment."},
    [W_CONFIRM] = {"Confirm", "Bestätigen", "Confirmar", "Confirmer"},
    [W_CONFIRM_ASK] = {"Yes, I want to receive “{0}” by {1}.", "Ja, ich möchte „{0}“ per {1} erhalten.",
                       "Sí, quiero recibir «{0}» por {1}.", "Oui, je veux recevoir « {0} » par {1}."},
    [W_CONFIRMED] = {"Thank you", "Vielen Dank", "Gracias", "Merci"},
    [W_CONFIRMED_SAYS] = {"You will receive “{0}” by {1}. You can change that at any time.",
                          "Sie erhalten „{0}“ per {1}. Das können Sie jederzeit ändern.",
                          "Recibirá «{0}» por {1}. Puede cambiarlo en cualquier momento.",
                          "Vous recevrez « {0} » par {1}. Vous pouvez changer cela à tout moment."},
    [W_EXPIRED] = {"This link has expired", "Dieser Link ist abgelaufen", "Este enlace ha caducado", "Ce lien a expiré"},
    [W_EXPIRED_SAYS] = {"Please sign up again.", "Bitte melden Sie sich noch einmal an.", "Por favor, inscríbase de nuevo.",
                        "Veuillez vous inscrire à nouveau."},
    [W_USED] = {"This link has done its work", "Dieser Link hat seine Aufgabe erfüllt", "Este enlace ya se ha usado",
                "Ce lien a déjà servi"},
    [W_USED_SAYS] = {"What you have chosen since then holds.", "Es gilt, was Sie seitdem gewählt haben.",
                     "Vale lo que ha elegido desde entonces.", "Ce que vous avez choisi depuis reste valable."},
    [W_SIGN_UP] = {"Sign up", "Anmelden", "Suscribirse", "S’abonner"},
    [W_SIGN_UP_SAYS] = {"You will get a message with a link to confirm.",
                        "Sie erhalten eine Nachricht mit einem Link zur Bestätigung.",
                        "Recibirá un mensaje con un enlace para confirmar.",
                        "Vous recevrez un message avec un lien pour confirmer."},
    [W_FIELD_EMAIL] = {"E-mail address", "E-Mail-Adresse", "Correo electrónico", "Adresse e-mail"},
    [W_FIELD_PHONE] = {"Phone number, with country code", "Telefonnummer mit Ländervorwahl", "Teléfono, con prefijo de país",
                       "Numéro de téléphone, avec l’indicatif du pays"},
    [W_FIELD_ADDRESS] = {"Address", "Adresse", "Dirección", "Adresse"},
    [W_TRAP] = {"Leave this empty", "Dieses Feld leer lassen", "Deje esto vacío", "Laissez ceci vide"},
    [W_BAD_ADDRESS] = {"Please check the address: it is not complete.", "Bitte prüfen Sie die Adresse: sie ist nicht vollständig.",
                       "Compruebe la dirección: no está completa.", "Vérifiez l’adresse : elle n’est pas complète."},
    [W_SENT] = {"One more step", "Noch ein Schritt", "Un paso más", "Encore une étape"},
    [W_SENT_SAYS] = {"You will get a message from us. Open the link in it to confirm.",
                     "Sie erhalten eine Nachricht von uns. Öffnen Sie den Link darin, um zu bestätigen.",
                     "Recibirá un mensaje nuestro. Abra el enlace que contiene para confirmar.",
                     "Vous allez recevoir un message de notre part. Ouvrez le lien qu’il contient pour confirmer."},
    [W_TOO_MANY] = {"Too many sign-ups", "Zu viele Anmeldungen", "Demasiadas suscripciones", "Trop d’inscriptions"},
    [W_TOO_MANY_SAYS] = {"Please try again later.", "Bitte versuchen Sie es später noch einmal.", "Inténtelo de nuevo más tarde.",
                         "Veuillez réessayer plus tard."},
    [W_NOT_FOUND] = {"Nothing here", "Hier ist nichts", "Aquí no hay nada", "Il n’y a rien ici"},
    [W_NOT_FOUND_SAYS] = {"This link is not complete. Please copy the whole of it from the message.",
                          "Dieser Link ist nicht vollständig. Bitte kopieren Sie ihn ganz aus der Nachricht.",
                          "Este enlace no está completo. Cópielo entero del mensaje.",
                          "Ce lien n’est pas complet. Veuillez le copier en entier depuis le message."},
    [W_BAD_FORM] = {"That did not work", "Das hat nicht geklappt", "No ha funcionado", "Cela n’a pas fonctionné"},
    [W_BAD_FORM_SAYS] = {"What was sent is no form that we can read.", "Was gesendet wurde, ist kein Formular, das wir lesen können.",
                         "Lo enviado no es un formulario que podamos leer.",
                         "Ce qui a été envoyé n’est pas un formulaire lisible."},
    [W_MAIL_SUBJECT] = {"Please confirm: {0}", "Bitte bestätigen: {0}", "Por favor, confirme: {0}", "Veuillez confirmer : {0}"},
    [W_MAIL_SAYS] = {"Please confirm that you want to receive “{0}”: open this link and press the button.",
                     "Bitte bestätigen Sie, dass Sie „{0}“ erhalten möchten: Öffnen Sie diesen Link und drücken Sie den Knopf.",
                     "Confirme que quiere recibir «{0}»: abra este enlace y pulse el botón.",
                     "Veuillez confirmer que vous voulez recevoir « {0} » : ouvrez ce lien et appuyez sur le bouton."},
    [W_MAIL_IGNORE] = {"If you did not ask for this, do nothing: nobody will write to you again about it.",
                       "Wenn Sie das nicht wollten, tun Sie nichts: Niemand schreibt Ihnen deswegen noch einmal.",
                       "Si no lo ha pedido, no haga nada: nadie volverá a escribirle por esto.",
                       "Si vous n’avez rien demandé, ne faites rien : personne ne vous écrira plus à ce sujet."},
    [W_KIND_ALL] = {"any way", "jeden Weg", "cualquier medio", "tout moyen"},
    [W_KIND_EMAIL] = {"e-mail", "E-Mail", "correo electrónico", "e-mail"},
    [W_KIND_SMS] = {"SMS", "SMS", "SMS", "SMS"},
    [W_KIND_CHAT] = {"chat", "Chat", "chat", "messagerie"},
    [W_KIND_PUSH] = {"push notification", "Push-Nachricht", "notificación", "notification"},
    [W_KIND_VOICE] = {"phone", "Telefon", "teléfono", "téléphone"},
    [W_KIND_WEBHOOK] = {"other ways", "andere Wege", "otros medios", "autre moyen"},
};

const char *page_word(enum lang lang, enum word word)
{
  return words[word][lang];
}

const char *page_kind(enum lang lang, parley_text kind)
{
  static const struct { const char *kind; enum word word; } kinds[] = {
      {"email", W_KIND_EMAIL}, {"sms", W_KIND_SMS},     {"chat", W_KIND_CHAT}, {"push", W_KIND_PUSH},
      {"voice", W_KIND_VOICE}, {"webhook", W_KIND_WEBHOOK}};

  for (size_t i = 0; i < COUNT_OF(kinds); i++)
    if (parley_text_is(kind, kinds[i].kind))
      return page_word(lang, kinds[i].word);
  return page_word(lang, W_KIND_ALL);
}

bool page_lang_parse(parley_text tag, enum lang *ret)
{
  parley_text primary = text_cut(&tag, '-');

  for (int lang = 0; lang < LANGS; lang++)
    if (text_is_nocase(primary, words[W_TAG][lang])) {
      *ret = (enum lang)lang;
      return true;
    }
  return false;
}

/* "0.8" -> 800; 1000 without one, 0 for what is none. */
static uint64_t quality_of(parley_text parameters)
{
  uint64_t whole, part = 0;

  while (parameters.len > 0) {
    parley_text one = text_trim(text_cut(&parameters, ';')), digits;

    if (!text_starts(one, "q=") && !text_starts(one, "Q="))
      continue;
    digits = text_sub(one, 2, SIZE_MAX);
    if (!text_to_uint(text_cut(&digits, '.'), 1, &whole))
      return 0;
    if (digits.len > 3 || (digits.len > 0 && !text_to_uint(digits, 999, &part)))
      return 0;
    for (size_t i = digits.len; digits.len > 0 && i < 3; i++)
      part *= 10;
    return whole == 1 ? 1000 : part;
  }
  return 1000;
}

bool page_lang_accepted(parley_text header, enum lang *ret)
{
  uint64_t best = 0;

  for (int i = 0; i < ACCEPTED_MAX && header.len > 0; i++) {
    parley_text one = text_cut(&header, ','), tag = text_trim(text_cut(&one, ';'));
    uint64_t quality = quality_of(one);
    enum lang lang;

    if (quality <= best || !page_lang_parse(tag, &lang))
      continue;
    best = quality;
    *ret = lang;
  }
  return best > 0;
}
