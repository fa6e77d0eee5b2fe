/** A funnel that people are moved to. */
export const OTHER_FUNNEL = `funnel: clients
title: Clients
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: clients, headline: Welcome, consent: Send it to me }
sequence:
  steps:
    - { key: hello, email: emails/welcome, split: { judge: clicks, arms: [{ key: warm }, { key: plain, subject: Hello }] } }
`;

/** A funnel that uses every option there is, once at least; a unit test compares it with the schema. */
export const EVERY_KEY = `funnel: every
title: "Every option: there is"
sender: { name: "Ada, of Springfield", email: ada@example.com, postalAddress: "12 Mill Lane\\nSpringfield" }
fields:
  level: number
  trialEnd: date
  joined: date
  city: text
  vip: boolean
  note: text
  tier: { type: choice, label: "Tier: which", choices: [free, pro] }
form:
  slug: every
  template: pages/squeeze
  headline: 'No: "really"'
  subheadline: |
    Two lines
    # of text
  bullets: ["- one", "yes", "1.5", "null"]
  button: "Send → it"
  optIn: single
  consent: "Send me the letters, please: weekly."
  leadMagnet: files/every.zip
  fields: [level, { field: tier, label: "Which tier?", required: true }]
sequence:
  window: { days: [mon, tue, wed, thu, fri, sat, sun], from: "00:00", to: "23:30", timezone: subscriber }
  quietHours: { from: "22:00", to: "06:00" }
  fallbackTimezone: Europe/Berlin
  priority: 3
  enterOn: [{ tag: new }, { purchased: checklist-two }, { event: booked.call }, { clicked: hello, sequence: clients }, { member: kit-two }, { member: kit-two, state: ended }, { opened: story }, { field: level, over: 8 }, { affiliate: self }, { untagged: vip }, { list: readers }, { unlisted: readers }, { refunded: kit-two }]
  reentry: after 30 days
  steps:
    - { key: hello, email: emails/welcome }
    - key: story
      email: emails/story
      delay: 2 days
      at: "09:30"
      onDays: [tue, thu]
      window: { days: [tue, thu], from: "08:00", to: "12:00" }
      quietHours: { from: "20:00", to: "07:00" }
      expires: 2099-12-31
    - { key: dated, email: emails/story, until: { field: trialEnd, plus: 1 day }, expires: "2099-12-31 18:00" }
    - { key: before, email: emails/story, until: { field: trialEnd, minus: 1 week } }
    - { key: renew, email: emails/story, until: { member: kit-two, minus: 1 week } }
    - { key: won-back, email: emails/story, until: { member: kit-two, plus: 2 days } }
    - { key: fixed, email: emails/story, until: 2098-06-01T09:00:00Z }
    - { key: pause, wait: 3 hours, at: "10:00", onDays: [mon], window: { days: [mon], from: "09:00", to: "11:00" }, quietHours: { from: "20:00", to: "07:00" }, expires: 2099-01-01 }
    - { key: pause-until, wait: true, until: "2098-12-24 18:00" }
    - { key: pause-more, wait: true, delay: 1 month }
    - { key: label, tag: [a, b], at: "09:00", onDays: [fri], window: { days: [fri], from: "08:00", to: "10:00" }, quietHours: { from: "20:00", to: "07:00" }, until: 2099-01-01, expires: 2099-02-01 }
    - { key: unlabel, untag: a, at: "09:00" }
    - { key: fill, set: { level: 2, city: null, vip: true, note: "2" }, delay: 1 minute }
    - { key: hook, webhook: "https://example.com/hook?a=1&b=2", delay: 1 minute }
    - { key: call, notify: "Somebody wants a call: # 1", delay: 1 minute }
    - key: pick
      if: { clicked: story, within: 3 days }
      then: [{ key: deep, email: emails/deep-dive, delay: 1 day }]
      else: [{ key: nudge, email: emails/nudge, delay: 1 day }]
    - { key: q-opened, if: { opened: story, within: 1 day }, then: [{ key: t1, tag: t1 }] }
    - { key: q-tag, if: { tag: a, within: 1 day }, then: [] , else: [] }
    - { key: q-bought, if: { purchased: kit-two, within: 1 day }, then: [], else: [] }
    - { key: q-member, if: { member: kit-two, within: 1 day }, then: [], else: [] }
    - { key: q-lapsed, if: { member: kit-two, state: ended }, then: [{ key: t3, tag: t3 }], else: [] }
    - { key: q-sent, if: { affiliate: any }, then: [{ key: sent, tag: t3 }] }
    - { key: q-list, if: { list: readers, within: 1 day }, then: [{ key: t10, tag: t3 }] }
    - { key: q-back, if: { any: [{ refunded: kit-two }, { list: readers }] }, then: [{ key: t11, tag: t3 }] }
    - { key: q-ada, if: { affiliate: ada-blog }, then: [{ key: by-ada, tag: t3 }] }
    - { key: q-event, if: { event: booked.call, since: step, within: 1 day }, then: [], else: [] }
    - { key: q-step, if: { step: pick, was: then }, then: [{ key: t2, tag: t2 }], else: [] }
    - { key: q-field, if: { field: level, over: 1.5, within: 1 day }, then: [], else: [] }
    - { key: q-not, if: { not: { tag: b }, within: 1 day }, then: [], else: [] }
    - { key: q-all, if: { all: [{ field: note, is: "1" }, { field: vip, isNot: false }, { field: level, under: 3 }, { field: city, exists: false }], within: 1 day } }
    - { key: q-dates, if: { all: [{ field: trialEnd, inNextDays: 7 }, { not: { field: joined, withinDays: 30 } }, { field: joined, after: 2020-01-31 }, { field: joined, before: "2098-01-01" }] }, then: [{ key: t6, tag: t6 }] }
    - { key: q-texts, if: { all: [{ field: city, contains: burg }, { field: note, startsWith: "a: b" }, { field: tier, oneOf: [free, pro] }, { field: level, atLeast: 1 }, { field: level, atMost: 2.5 }, { field: locale, is: de }] }, then: [{ key: t7, tag: t7 }] }
    - { key: q-any, if: { any: [{ clicked: story }, { opened: story }, { not: { all: [{ tag: a }, { any: [{ event: booked.call, since: sequence }, { purchased: kit-two }] }] } }], within: 1 day } }
    - key: ways
      switch:
        - if: { tag: a }
          then: [{ key: w1, tag: w1 }]
        - if: { step: label, was: ran }
      within: 2 days
      else: [{ key: w2, tag: w2 }]
    - { key: q-case, if: { any: [{ step: ways, was: case 1 }, { step: ways, was: else }] }, then: [{ key: t8, tag: t8 }] }
    - { key: bought, goal: [{ purchased: kit-two }, { member: kit-two, state: refunded }, { tag: gold }, { event: done }], otherwise: continue }
    - { key: q-goal, if: { any: [{ step: bought, was: reached }, { step: bought, was: not reached }] }, then: [{ key: t9, tag: t9 }] }
    - { key: pitch, email: emails/offer, offer: kit-two, delay: 1 day, deadline: 72 hours, toOwners: send }
    - key: tested
      email: emails/offer
      offer: kit-two
      toOwners: skip
      split:
        judge: revenue
        arms:
          - { key: first, weight: 2 }
          - { key: second, weight: 1, subject: "{{ subscriber.firstName }}: look", email: emails/offer, offer: kit-two, deadline: 2 days, delay: 2 days, at: "18:00" }
        within: 10 days
        horizon: 90 days
        alpha: 0.1
        holdout: 10%
        cap: 80.00 EUR
        optimise: thompson
        explore: 20%
        guardRails: { unsubscribes: 1%, complaints: 0.1% }
    - key: paths
      split:
        judge: revenue
        arms:
          - { key: short, weight: 3, steps: [] }
          - key: long
            steps:
              - { key: long-story, email: emails/story, delay: 1 day }
              - { key: long-way, split: { judge: clicks, arms: [{ key: x, steps: [{ key: x1, email: emails/story }] }, { key: y, steps: [{ key: y1, email: emails/nudge }] }] } }
        within: 10 days
        horizon: 90 days
        alpha: 0.1
        holdout: 10%
        cap: 80.00 EUR
        optimise: thompson
        explore: 20%
        guardRails: { unsubscribes: 1%, complaints: 0.1% }
    - { key: q-arm, if: { split: paths, arm: long }, then: [{ key: t4, tag: t4 }] }
    - key: q-arms
      switch:
        - if: { split: tested, arm: second }
          then: [{ key: t5, tag: t5 }]
        - if: { any: [{ split: tested, arm: holdout }, { split: paths, arm: holdout }, { sequence: clients, split: hello, arm: plain }] }
    - { key: last-goal, goal: { tag: silver }, otherwise: end }
    - key: fork
      if: { tag: old }
      then: [{ key: onward, move: clients, delay: 1 day }]
    - { key: finish, end: true, delay: 1 day }
  exitOn: [{ purchased: kit-two }, { member: kit-two, state: active }, { tag: left }, { event: stop }, { untagged: left }, { unlisted: readers }, { refunded: kit-two }]
products:
  - { key: kit-two, name: The Kit, description: "What: is in it", price: 49.00 EUR, delivers: [files/every.zip], licence: true, membership: { lasts: 12 months } }
  - { key: checklist-two, name: List, price: 19.00 EUR }
  - { key: checklist-three, name: List, price: 9.00 EUR, delivers: [] , licence: false, membership: { lasts: for good } }
offers:
  - { key: kit-two, product: kit-two, headline: "30% off", bullets: ["a: b"], discount: 12.5%, bump: checklist-three, upsell: list-two, downsell: list-three }
  - { key: list-two, product: checklist-two }
  - { key: list-three, product: checklist-three }
affiliates: { commission: 30%, secondTier: 12.5%, hold: 45 days, cookie: 2 months, attribution: first }
templates:
  pages/declined.liquid: |
    <p>{{ offer.title }} was not paid.</p>
  pages/thanks.liquid: { file: files/thanks.liquid }
`;
