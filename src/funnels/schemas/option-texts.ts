/**
 * What each option of a funnel file is for, as editors show it. By the name of the option, or by the object it stands in
 * and its name where one name means two things.
 */
const TEXTS: Readonly<Record<string, string>> = {
  funnel: 'Key of the funnel; never changes. The sequence has the same key.',
  title: 'Name of the funnel, for people.',
  sender: 'Who the mails are from. The law wants the postal address in each of them.',
  'sender.name': 'Name in the From line.',
  'sender.email': 'Address in the From line; its domain should have SPF, DKIM and DMARC.',
  postalAddress: 'Printed at the foot of every mail.',
  fields:
    'Own fields of subscribers that the funnel asks for or fills, by their key: text, number, date, boolean, or { type: choice, choices: [...] }. What is not there is made; what is there must be of this type, takes the label and the choices that are new, and stays when the funnel goes.',
  type: 'What the field holds: text, number, date, boolean or choice. It never changes.',
  label: 'Name of the field, for people. Funnels that give it to one field give it the same.',
  choices: 'Values that a field of type choice may have. New ones are added; none is taken away.',
  form: 'The squeeze page and the form in it, also embedded in other sites.',
  slug: 'Address of the page: /p/SLUG.',
  template: 'The page, below templates/ without its ending, such as pages/squeeze.',
  templates:
    'Texts of mails, pages and what they include that this funnel has of its own, by their path below templates/, in place of those of the folder: the text, or file: and its path beside the funnel file.',
  'templates.file': 'File beside the funnel file that holds the text.',
  headline: 'The largest line of the page.',
  subheadline: 'The lines below it.',
  bullets: 'What is in it for the reader, a line each.',
  button: 'Text of the button.',
  optIn: 'double: the address is confirmed by a mail first. single: it counts at once.',
  consent: 'What people agree to, word for word; kept with each sign-up as evidence.',
  'form.fields':
    'Own fields the form asks for beside address and name, in their order: the key, or field with a label or required. Answers count when the address is confirmed.',
  'fields.field': 'Key of the field; it is defined by fields at the top, or in the web app.',
  'fields.label': 'What the form calls it, in place of its own label.',
  required: 'true: nobody signs up without an answer; a box must be ticked.',
  leadMagnet: 'File that who signs up may download, beside the funnel file.',
  sequence: 'The mails and steps that follow the sign-up.',
  'sequence.window': 'When mails with a delay may go.',
  'step.window': 'When this step may run, in place of the window of the sequence.',
  days: 'Days of the week on which it is open.',
  from: 'Local time at which it begins.',
  to: 'Local time before which it ends; earlier than from, it ends on the next day.',
  timezone: 'Whose clock is read: that of the subscriber.',
  quietHours: 'Hours in which nothing is sent.',
  fallbackTimezone: 'IANA time zone of people whose own is not known; UTC when it is left out.',
  priority:
    'Of mails that are due at once: 1 goes first, 9 last. Left out: 5, and 4 for what somebody gets the moment they join, unless 50 do at once, as by an import.',
  enterOn:
    'What makes active subscribers join, besides the form. A mail counts once; a field, when it comes to hold.',
  reentry:
    'Whether who has left or finished may join again: never, always, per event, after 30 days. By the form, once they press the button in its mail.',
  steps: 'What happens, in this order. A key never changes: people are inside.',
  exitOn: 'What ends the sequence at once, from anywhere.',
  key: 'Name of it, used once; never changes.',
  email: 'Template of the mail, below templates/ without its ending, such as emails/welcome.',
  'step.offer': 'Offer that the mail makes.',
  delay: 'How long after the step before: 90 minutes, 2 days, 1 month.',
  at: 'Local time of day, such as "09:30"; the next one after the step before, so two steps at 09:30 are a day apart. Who comes up more than six hours late, as after a pause, gets the next one.',
  deadline:
    "How long the offer's price holds for each reader, from when the step runs, such as 72 hours; never shorter than an earlier mail said.",
  toOwners:
    'Who owns what the mail offers, bought and not given back, or a member by it: skip passes the step over for them, the usual; send makes them the offer again. A step that waits until that membership ends, and those behind it, send it unless they say skip.',
  onDays: 'Days of the week on which the step may run.',
  until: 'Not before this date, the date in a field of the subscriber, or the end of a membership.',
  expires: 'Date after which the step is passed over, and holds nobody; a day counts to its end.',
  'until.field': 'Field of the subscriber that holds the date.',
  plus: 'How long after the date.',
  minus: 'How long before the date.',
  if: 'What is asked; then leads on when it holds, else when not.',
  'switch.if': 'What is asked; the first case that holds is taken.',
  then: 'Steps when it holds.',
  else: 'Steps when it does not.',
  switch: 'Cases in order; the first that holds is taken.',
  within: 'How long to wait for it before else is taken.',
  wait: 'How long to wait; true with delay, at or until.',
  tag: 'Has this tag.',
  'step.tag': 'Tags that the person gets.',
  untag: 'Tags that are taken from the person.',
  set: 'Fields of the person and their new values; null empties one.',
  move: 'Sequence to which the person moves; this one ends.',
  webhook: 'Address that is told, signed and tried again.',
  notify: 'Text of a mail to the owner.',
  goal: 'What brings people here at once from any step before.',
  otherwise: 'For who walks here without it: continue or end.',
  end: 'The sequence ends here.',
  clicked: 'A person, no scanner, has clicked a link in the mail of this step.',
  opened:
    'The mail of this step was opened, as far as a machine’s doing can be told from a person’s, or a person has clicked in it. The same as opened in segments.',
  purchased: 'Has bought this product.',
  refunded:
    'Has given this product back, and has none left. As what begins or ends a sequence: when the money goes back.',
  untagged: 'The tag is taken off, where it was there.',
  list: 'Is on this list. As what begins or ends a sequence: comes to be on it.',
  unlisted: 'Is taken off this list, where they were on it.',
  member:
    'Is a member by this product; state says otherwise. As what begins or ends a sequence: comes to be so.',
  'until.member': 'Product whose membership ends on the date.',
  state: 'Of the membership: active, ended, refunded.',
  'condition.affiliate':
    'Came last by the link of this affiliate; any: of some affiliate; none: of nobody; self: is one, under the same address. As what begins or ends a sequence: comes to be so.',
  event:
    'Your programs have told this event by the API. It counts from when it happened, also when it is told later, for who joined the sequence before.',
  since:
    'From when on an event counts: sequence, the usual, since the person joined it, so one that came before they began to wait ends the wait at once; step, since they came to this step, so they wait for a new one.',
  step: 'A step before, with what came of it in was.',
  'condition.sequence': 'Of which sequence the mail or the split test is, where it is not this one.',
  'condition.split':
    'A step before, or of the sequence that is named, with a split test, of paths or of its mail; arm says which of its arms.',
  arm: 'The person is on this arm of the test; holdout: on none, as they are held out.',
  was: 'What came of the step: ran, skipped; of an if then or else; of a switch case 1, case 2 and so on, or else; of a goal reached or not reached. A step whose mail was stopped before it left was skipped.',
  field:
    'Field of the subscriber, compared by one of the options beside it, which its type allows; or email, emailDomain, name, timeZone, locale.',
  is: 'The field equals this.',
  isNot: 'The field is empty or equals something else.',
  oneOf: 'The field equals one of these texts.',
  over: 'The field is a number over this.',
  under: 'The field is a number under this.',
  atLeast: 'The field is this number or more.',
  atMost: 'The field is this number or less.',
  before: 'The field is a day before this one, such as 2026-01-31.',
  after: 'The field is a day after this one.',
  contains: 'The field is a text with this in it, in capitals or not.',
  startsWith: 'The field is a text that begins with this, in capitals or not.',
  withinDays:
    'The field is today, or at most so many days before it, by the clock of the person. Asked when the step is come to.',
  inNextDays:
    'The field is a day after today, at most so many days, by the clock of the person. Asked when the step is come to.',
  exists: 'true: the field is filled. false: it is empty.',
  all: 'Each of these holds.',
  any: 'One of these holds.',
  not: 'This does not hold.',
  split:
    'A test; each person gets one of the arms. Of an email step: of what its mail says or when it goes. As a step of its own: of the paths that lead on from it.',
  judge: 'What an arm wins by: clicks of people, or revenue per recipient.',
  arms: 'What is compared; the first is the control. What an arm has of its own takes the place of the step.',
  'arms.steps': 'The path of this arm, or none ([]). At its end people go on behind the split.',
  weight:
    "Shares go by it: an arm gets its weight's part of the people; with optimise these are the odds it begins with.",
  subject: 'Subject in place of that of the template; Liquid.',
  'split.within':
    'How long clicks and orders of a person count, after the longest arm is over; arms without a time of their own take none.',
  horizon: 'How long the test takes in people.',
  alpha: 'Chance of a false winner, from 0.001 to 0.2.',
  holdout: 'Part of the people who get nothing, to compare with.',
  cap: 'The most that one person counts for, by revenue.',
  optimise: 'thompson: the better an arm does, the more people it gets.',
  explore: 'Part of the people who are still shared out by the weights.',
  guardRails:
    'An arm that is shown to have more of these than allowed gets nobody any more; who waits for its mail gets another arm’s, who is on its path stays.',
  unsubscribes: 'Part of the recipients of an arm who may leave, such as 2%.',
  complaints: 'Part of the recipients of an arm who may complain, such as 0.3%.',
  'arms.email': 'Template of the mail, in place of that of the step.',
  'arms.offer': 'Offer that the mail makes, in place of that of the step.',
  products: 'What is sold.',
  name: 'Name for customers.',
  description: 'What it is, for the offer page and the receipt.',
  price: 'Amount and currency, such as 49.00 EUR.',
  delivers: 'Files that the buyer gets, beside the funnel file.',
  membership: 'Makes each buyer a member; a second purchase adds to the first.',
  lasts: 'How long, such as 12 months, or for good.',
  licence: 'Whether each buyer gets a licence key.',
  offers: 'How products are offered: each has a page of its own at /offer/KEY.',
  product: 'Product that the offer sells.',
  discount: 'Taken off the price, such as 30%.',
  upsell: 'Offer that who has paid for this one is shown next, taken by one button.',
  downsell: 'Offer that is shown when the upsell is declined.',
  affiliates: 'What partners earn who send buyers by their links, /a/CODE; without it, nothing.',
  commission:
    'Part of what is paid, after discounts, for the affiliate of the last click before the order, or of the first, by attribution.',
  secondTier: 'Part of the same amount for who recruited that affiliate; with commission at most 100%.',
  hold: 'How long after the payment a commission waits until it is due, as long as refunds may come: 30 days.',
  cookie:
    'How long after a click on the link an order counts, also one that comes weeks later from a mail: 60 days.',
  attribution:
    'Which click on an affiliate’s link within cookie earns: last, the usual, or first; a later click of another affiliate then takes nothing.',
  bump: 'Product that can be added at the checkout at its full price.',
};

/** Null for an option that has none yet. */
export function optionText(context: string, option: string): string | null {
  return TEXTS[`${context}.${option}`] ?? TEXTS[option] ?? null;
}
