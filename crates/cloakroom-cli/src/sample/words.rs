//! The words the records are made of, all made up for this file.
//!
//! No entry holds a quotation mark, a backslash or a control character: records are written
//! without an escaping pass. A test checks it.

pub(super) const FIRST_NAMES: [&str; 40] = [
    "Ada", "Amir", "Anika", "Bela", "Bruno", "Carla", "Cyrus", "Dara", "Dora", "Edwin", "Elena", "Farid", "Fiona",
    "Gita", "Hugo", "Ines", "Ivo", "Jana", "Jonas", "Kira", "Lars", "Leila", "Malik", "Mira", "Nadia", "Nils", "Olga",
    "Oscar", "Petra", "Rania", "Ruben", "Samir", "Selma", "Tariq", "Tessa", "Umar", "Vera", "Wanda", "Yusuf", "Zita",
];

pub(super) const LAST_NAMES: [&str; 40] = [
    "Abbot", "Arden", "Barlow", "Becker", "Calder", "Cassel", "Dalton", "Denver", "Eriksen", "Fabian", "Farrow",
    "Garner", "Hadley", "Holm", "Ivers", "Jansen", "Kessler", "Lindal", "Lowell", "Marden", "Merrow", "Novak",
    "Oakley", "Osman", "Palmer", "Perrin", "Quill", "Rahimi", "Renner", "Sadler", "Sorel", "Talbot", "Thorne",
    "Ulrich", "Varga", "Vesely", "Warden", "Wexler", "Yardley", "Zeller",
];

pub(super) const MAIL_DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

pub(super) const LOCALES: [&str; 16] =
    ["AR", "BR", "CA", "CN", "CZ", "DE", "ES", "FR", "GB", "ID", "IN", "JP", "PL", "RU", "SE", "US"];

pub(super) const STREETS: [&str; 16] = [
    "Amber Lane",
    "Bakers Row",
    "Canal Walk",
    "Dovecote Road",
    "Elm Rise",
    "Ferry Street",
    "Granary Yard",
    "Harbour Way",
    "Iron Bridge",
    "Juniper Close",
    "Kiln Street",
    "Lantern Court",
    "Mill Terrace",
    "North Parade",
    "Orchard Gate",
    "Priory Square",
];

pub(super) const CITIES: [&str; 16] = [
    "Alderport",
    "Brackwater",
    "Cinderford",
    "Dunmere",
    "Eastvale",
    "Fairhaven",
    "Greywick",
    "Hollowell",
    "Kingsmoor",
    "Larkfield",
    "Millhaven",
    "Northbay",
    "Oakcross",
    "Redcliff",
    "Stonebrook",
    "Westmarch",
];

pub(super) const COLOURS: [&str; 12] =
    ["amber", "azul", "blanco", "cyan", "gris", "indigo", "lime", "naranja", "negro", "plum", "rojo", "verde"];

pub(super) const CAR_MAKES: [&str; 8] =
    ["Avenor", "Brightwell", "Corvane", "Dellmar", "Halberd", "Norvik", "Solano", "Tarsus"];

pub(super) const CAR_MODELS: [&str; 8] =
    ["Brisa", "Comet", "Drift", "Falcon 2", "Meridian", "Pilot", "Tempo", "Zephyr"];

pub(super) const CAR_TYPES: [&str; 6] = ["Cargo Van", "Convertible", "Coupe", "Hatchback", "Sedan", "Wagon"];

pub(super) const CHANNELS: [&str; 8] =
    ["#billing", "#engineering", "#general", "#operations", "#random", "#sales", "#shipping", "#support"];

pub(super) const MESSAGES_WITH_EMAIL: [&str; 8] = [
    "Can someone add {email} to the account in {city}?",
    "The new contact is {email}, please update the file.",
    "Reply to {email} before noon, they asked twice already.",
    "{first} says the invoice went to {email} by mistake.",
    "Bounce report: {email} could not be reached, ticket {ticket}.",
    "Please invite <{email}> and also {email}; both start on Monday.",
    "Grüße aus {city}! Meine neue Adresse ist {email} 📮",
    "connexion refusée pour {email}, qui peut vérifier ?",
];

pub(super) const MESSAGES_WITH_CARD: [&str; 7] = [
    "Customer wants a refund on card {card}, amount {amount}.",
    "Declined twice: {card}. What do I tell them?",
    "Please charge {card} for the rest of the order.",
    "{first} typed the number into the chat again: {card}",
    "Old card {card}, new card {card}, please swap them.",
    "¿Puedes cobrar a la tarjeta {card}? Gracias 🙏",
    "カード番号は {card} です。",
];

pub(super) const MESSAGES_WITH_BOTH: [&str; 5] = [
    "Receipt to {email}, paid with {card}.",
    "{first} wrote from {email}: my card is {card} and it does not work.",
    "Card {card} belongs to {email}, please close the case.",
    "Bitte an {email} senden, Zahlung über {card} – danke! ✅",
    "Form was filled in by {email}; number given: {card}; amount {amount}.",
];

pub(super) const MESSAGES_WITH_HARMLESS_NUMBERS: [&str; 8] = [
    "Order {order} left the warehouse in {city} this morning.",
    "Tracking says {no card}, which is not in our list.",
    "Ticket {ticket} is a duplicate of ticket {ticket}.",
    "Test number {no card} fails the check as it should.",
    "Build {ticket} passed, {count} tests were skipped.",
    "The parcel weighs {amount} kg and has {count} items.",
    "Serial {no card} is printed on the back of the router.",
    "Invoice INV-{order} is paid, {amount} EUR arrived today.",
];

pub(super) const MESSAGES_IN_OTHER_SCRIPTS: [&str; 10] = [
    "Schöne Grüße, bis später im Büro 👋",
    "Merci beaucoup, à demain pour la réunion ☕",
    "¡Qué bien! Mañana lo revisamos con {first} 🎉",
    "今日の会議は三時からです。",
    "Спасибо, уже всё работает 👍",
    "Dziękuję, zadzwonię po południu 📞",
    "شكرا جزيلا، نلتقي غدا",
    "The fix is live 🚀🚀 thanks {first} 👩‍💻",
    "안녕하세요, 자료를 확인했습니다 😊",
    "Ευχαριστώ πολύ, τα λέμε αύριο ✨",
];

pub(super) const MESSAGES_WITH_NOTHING: [&str; 12] = [
    "Good morning, the dashboard is green again.",
    "Who is on call this weekend?",
    "I will be ten minutes late, please start without me.",
    "{first} is out today, ask me instead.",
    "The customer in {city} is happy with the result.",
    "Lunch at the usual place?",
    "Deploy is done, watching the logs for a while.",
    "Can we move the review to tomorrow afternoon?",
    "Thanks {first}, that solved it.",
    "Nobody has touched that file in years.",
    "The printer on the second floor is broken again.",
    "Please read the notes before the meeting.",
];

pub(super) const NOTES: [&str; 10] = [
    "Asked about delivery times and was sent the list.",
    "Prefers to be called in the afternoon.",
    "Moved to {city} and gave the new address.",
    "Returned one of {count} items, the refund is on its way.",
    "Order {order} was late, a voucher has been offered.",
    "Wants paper invoices from now on.",
    "Spoke with {first} at the desk in {city}.",
    "Long-standing customer, treat with care.",
    "Paid the open amount of {amount} in cash.",
    "Reported a problem with the app on an old phone.",
];

pub(super) const NOTES_WITH_SSN: [&str; 3] =
    ["Gave SSN {ssn} on the phone.", "Identity checked against {ssn}.", "Form says {ssn}, to be confirmed."];

pub(super) const NOTES_WITH_EMAIL: [&str; 3] =
    ["Write to {email} instead.", "Second contact: {email}.", "Forwarded by {email}."];

pub(super) const NOTE_ENDINGS: [&str; 6] = [
    "No further action is needed.",
    "Call back within two weeks.",
    "See the file for the details.",
    "Nothing else was discussed today.",
    "Waiting for an answer from the branch.",
    "Closed by the evening team.",
];

/// Every list, for the test that looks for characters JSON would have to escape.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static str> {
    [
        &FIRST_NAMES[..],
        &LAST_NAMES,
        &MAIL_DOMAINS,
        &LOCALES,
        &STREETS,
        &CITIES,
        &COLOURS,
        &CAR_MAKES,
        &CAR_MODELS,
        &CAR_TYPES,
        &CHANNELS,
        &MESSAGES_WITH_EMAIL,
        &MESSAGES_WITH_CARD,
        &MESSAGES_WITH_BOTH,
        &MESSAGES_WITH_HARMLESS_NUMBERS,
        &MESSAGES_IN_OTHER_SCRIPTS,
        &MESSAGES_WITH_NOTHING,
        &NOTES,
        &NOTES_WITH_SSN,
        &NOTES_WITH_EMAIL,
        &NOTE_ENDINGS,
    ]
    .concat()
}
