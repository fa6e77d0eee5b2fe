import type { ReplyReason } from './reply-reason.js';

interface Phrase {
  reason: ReplyReason;
  /** Tested on lower-case text without addresses. */
  says: RegExp;
  /** Statuses beside which the words do not count. */
  unlessStatus?: RegExp;
}

const rule = (reason: ReplyReason, ...says: RegExp[]): Phrase[] => says.map((one) => ({ reason, says: one }));

/**
 * One mailbox gets more mail than its provider allows, from whomever. Asked first: the words are much like those about a
 * sender's pace, and mistaken for them one popular mailbox would slow down or stop the mails to everybody else.
 */
const ONE_BUSY_MAILBOX: Phrase[] = [
  ...rule(
    'mailbox_busy',
    /\b(?:user|recipient|mail ?box|account|address)\b.{0,60}\breceiving (?:e-?)?(?:mails?|messages?) (?:at a rate|too (?:quickly|fast|often))/,
  ),
  // A full mailbox cannot "receive" either, and its quota is another one.
  {
    reason: 'mailbox_busy',
    says: /^(?!.*(?:\bfull\b|over ?-?quota)).*(?:\b(?:recipient|mail ?box)(?:'s)? .{0,40}(?:receive|receiving|incoming|inbound) .{0,20}(?:limit|rate|quota)|\b(?:user|recipient|mail ?box)(?:'s)? .{0,20}exceeded .{0,40}(?:limit|rate|number|quota) .{0,20}(?:incoming|inbound|receive|received)\b)/,
    unlessStatus: /^5\.2\.2$/,
  },
  ...rule(
    'mailbox_busy',
    /recipient thread limit|recipientthreshold|too many concurrent deliveries to (?:this|the) mail ?box/,
  ),
];

/** What is about the sender comes next: "does not exist" may be said of the sender's domain as well. */
const ABOUT_THE_SENDER: Phrase[] = [
  ...rule(
    'auth_failure',
    /\b(?:spf|dkim|dmarc)\b(?!\w)/,
    /\bunauthenticated (?:e-?mail|mail|sender|message)|sender is unauthenticated|authentication (?:information|requirements?|results?|checks?|failed for the sending)/,
    /required authentication level|sender ?id\b.{0,40}\bfail/,
  ),
  ...rule(
    'rate_limited',
    /too many (?:recipients|connections|messages|e-?mails|mails|sessions|concurrent|sending|invalid recipients|errors)/,
    /(?:rate|frequency|connection|sending|hourly|daily|volume|throughput) ?(?:limit|limited|quota)/,
    /(?:exceed(?:ed|s|ing)?|over|reached|limit of) .{0,40}(?:\brate\b|connections|per (?:second|minute|hour|day)|sending limit|hourly|daily)/,
    /throttl|sent too (?:many|much)|sending too (?:fast|many|much)|(?:unusual(?:ly high)?|unexpected) (?:rate|volume)|slow down/,
  ),
  ...rule('bad_reputation', /reputation|sender ?score|senderbase|poor sending history|user complaints/),
  ...rule(
    'blocked',
    /spamhaus|spamcop|sorbs|barracudacentral|dnsbl|rbldns|\br?bl\b|\brbl[./]|black ?-?list|block ?-?list|deny ?-?list|blacklisted|blocklisted/,
    /blocked (?:using|by|for|ip|due to (?:your|the) ip)|blocked .{0,30}\bip\b|\bip\b.{0,60}\b(?:blocked|banned|rejected|refused|denied|listed|not allowed|not accepted)|banned sending ip|(?:is|are) (?:currently )?listed (?:at|in|by|on)\b/,
    /client host .{0,80}(?:rejected|blocked|denied)|connections? (?:not accepted|refused by policy|rejected|from your)|may not be mail exchanger/,
    /reverse dns|\brdns\b|\bptr\b|ptr record|forward.confirmed|hostname .{0,40}(?:not resolve|lookup)|dynamic(?:ally)?[- ](?:ip|assigned|address)|\bhelo\b.{0,60}(?:reject|invalid|refus|denied|bad|need|not )|(?:bad|invalid) helo|your host ?name does not match|mismatches client ip/,
    // T-Online names the sender's address, and what is wrong with it in other words each time.
    /\(<address>:\s?blocked\)|invalid ip (?:address )?for sending|\bip=[\da-f.:]{3,45} - /,
    /aup#|(?:refused|not accepted) from (?:your|this) (?:ip|host|server|network)|bad dns|your (?:server|host|network|isp) .{0,40}(?:blocked|banned|rejected)/,
  ),
  ...rule('virus', /\bvirus|malware|infected|trojan/),
  ...rule(
    'sender_rejected',
    /sender (?:address|domain)?\s?(?:rejected|refused|denied|blocked|not allowed|not accepted|unknown|invalid|verif\w{1,20} failed)|sender (?:verify|verification) (?:failed|failure)/,
    /domain of sender|sender(?:'s)? (?:address |domain )?.{0,40}(?:does ?n[o']t (?:exist|resolve)|not exist|not found|no mx|cannot be verified|could not be verified)|(?:mail from|return.path|envelope sender|from address|sending) .{0,60}(?:does ?n[o']t exist|not exist|not (?:be )?(?:resolve|valid)|invalid|unresolvable|not found)/,
    /blocked senders?\b|invalid sender|bad sender|unknown sender|access denied.{0,20}sender|not allowed to (?:send|post)|sender not (?:pre-?approved|authori[sz]ed)|only .{0,40}(?:members?|subscribers?|owner) .{0,40}(?:can|may|are allowed to) (?:post|send)|(?:not have|doesn'?t have) permission to (?:post|send)|you are not allowed/,
  ),
  ...rule(
    'spam',
    /(?:classified|identified|detected|scored|marked|flagged|recognized|considered|regarded|suspected|appears to be|looks like|rejected) (?:as |to be |by |for )?(?:being )?(?:a |an )?(?:probable |likely |possible |potential )?(?:spam|ube|uce|unsolicited|junk)/,
    /probability of spam|spam (?:message|mail|content|score|detected|classification|filter|rejected|signature|pattern)|spamsignature|\b(?:ube|uce)\b|unsolicited|bulk (?:e-?)?mail|(?:message|content|mail) .{0,60}\bspam\b|\bspam\b.{0,60}(?:reject|refus|denied|detect|block)|looks like spam|anti-?spam/,
  ),
  ...rule(
    'relay_denied',
    /relay(?:ing)? (?:access |mail )?(?:is |was )?(?:denied|not (?:allowed|permitted)|prohibited|refused|rejected)|(?:unable|not permitted|not configured|refus\w{1,20}|not allowed) to relay|we do not relay|no relay|relay not permitted|not (?:a )?(?:local|gateway|my) (?:domain|host)|isn'?t in my list of allowed rcpthosts|authentication (?:is )?required for relay/,
    /must (?:issue a )?starttls|encryption (?:is )?required|tls (?:is )?required/,
  ),
];

const ABOUT_THE_MAIL: Phrase[] = [
  ...rule(
    'content',
    /(?:content|attachment|file type|extension) .{0,60}(?:reject|not allowed|not accepted|blocked|refused|prohibited|potential|denied)|content (?:rejected|filter|restriction)|duplicate header|(?:invalid|malformed|missing|multiple) .{0,30}header|multiple addresses in from/,
  ),
  ...rule(
    'policy',
    /polic(?:y|ies)\b.{0,60}(?:violat|reason|reject|restrict|block|refus|prevent)|(?:violat\w{1,20}|against|due to|because of|by|local|administrative|security) .{0,40}\bpolic(?:y|ies)|administrative prohibition|message (?:was )?(?:refused|blocked) (?:by|because|due)/,
  ),
  ...rule(
    'too_large',
    /(?:message|mail|e-?mail|content|recip\w{0,20}) ?(?:size|length) ?.{0,40}(?:exceed|limit|too|large|big|maximum)|(?:message|mail|e-?mail) (?:is |was |body )?(?:too (?:large|big|long)|larger than|exceeds)|exceeds? .{0,40}(?:maximum|size|message) .{0,30}(?:size|limit|length)|size limit|too large|too big/,
  ),
];

const ABOUT_THE_PERSON: Phrase[] = [
  ...rule(
    'mailbox_full',
    /(?:mail ?box|inbox|mail ?folder|account|user|recipient|storage|mail ?dir|mail ?spool)'?s? .{0,60}(?:\bfull\b|over ?quota|quota|exceeded|out of (?:space|storage))|over ?-?quota|quota (?:exceeded|violation|full|is)|exceed\w{0,20} .{0,40}(?:quota|storage|mail ?box|disk|allocated|space)|(?:mailbox|mail ?box) (?:is )?full|disk quota|(?:insufficient|not enough|no) mailbox (?:space|storage)|would be over/,
  ),
  // Beside 4.3.0 and 4.3.1 it is the disk of a server, full for everybody.
  {
    reason: 'mailbox_full',
    says: /disk (?:full|space)|(?:insufficient|not enough|no) (?:disk |storage |free )?(?:space|storage)/,
    unlessStatus: /^4\.3\.[01]$/,
  },
  ...rule(
    'suspended',
    /(?:account|mailbox|user|recipient|address|domain|customer|mail)\b.{0,60}\b(?:disabled|suspended|deactivated|inactive|locked|frozen|discontinued|blocked for inactivity|not active|expired|on hold|dormant)\b|(?:disabled|suspended|inactive|deactivated|locked|frozen) (?:recipient|account|mailbox|user|address)|temporarily (?:disabled|locked|suspended)/,
  ),
  ...rule(
    'moved',
    /(?:user|recipient|person|account|employee|mailbox|address|he|she|they|customer) (?:has |have |is )?(?:been )?(?:moved|relocated|changed (?:to|address)|no longer (?:with|works|employed|at this))|(?:has|have) (?:moved|left (?:the|our|this) (?:company|organi[sz]ation|firm))|(?:new|changed?) (?:e-?mail )?address|(?:domain|address) (?:name )?(?:has )?(?:been )?(?:changed|replaced|abandoned)|551 user not local/,
  ),
  ...rule(
    'filtered',
    /recipient'?s? preferences|rejected by (?:the )?(?:recipient|user)|recipient .{0,30}(?:refuses|only accepts|not accepting)|not accepting (?:mail|messages|e-?mail) from|restricted (?:recipient|address)|only accepts? (?:mail|messages) from|authrequired|blocked by (?:the )?(?:recipient|user)/,
    // Said by a mobile carrier's filter, which leaves the address out.
    /\b550 : user unknown/,
    // A gateway's summary, the same for a directory and for a filter.
    /^ ?\[user unknown\]/,
    // A gateway to another network, open to its own subscribers alone.
    /not a registered gateway/,
  ),
];

const ABOUT_THE_HOST: Phrase[] = [
  // Gmail's account of a DNS answer, which it calls temporary: somebody may be in the middle of changing the zone.
  ...rule('network_error', /\bdns error: |host not found, try again/),
  ...rule(
    'no_mail_accepted',
    /null ?mx|does(?: ?n[o']t) (?:accept|receive|handle|want) (?:any )?(?:e-?)?mail|(?:domain|host).{0,40}not accept(?:ing)? (?:e-?)?mails?\b|no mail (?:is )?accepted here|mx 0 \.|rfc ?7505/,
  ),
  ...rule('host_unknown', /\bhost \S{1,255} not found/),
  ...rule(
    'network_error',
    /dns (?:error|type)|dns (?:lookup|query|server|resolver) (?:failure|failed|error|timeout)|(?:temporary|transient) .{0,30}(?:lookup|resolution)|too many hops|hop count|(?:mail|routing|forwarding|message)?[ -]?loop|loops? back|connection (?:refused|dropped|reset|lost|closed)|lost connection|network (?:is )?unreachable|no route to host|could not connect/,
  ),
  ...rule(
    'host_unknown',
    /(?:host|domain|host\/domain|site|server)(?: name)? (?:is )?(?:unknown|not found|not reachable|invalid|non-?existent|does ?n[o']t exist|doesn't exist|not exist|cannot be resolved|not known)|unknown (?:host|domain|mail (?:host|server))|(?:no such|bad|illegal|invalid|non-?existent) (?:host|domain|destination system|hostname)|name (?:or service )?not (?:known|found)|no (?:mx|a|mail) (?:or a )?records?|unrouteable (?:mail )?domain|nxdomain|(?:couldn't|cannot|could not|unable to) (?:find|resolve|locate) .{0,40}(?:host|domain|server|mail exchanger|dns|mx)|unable to route|unresolvable (?:host|domain|destination)|\b[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,9} does ?n[o']t exist|domain .{0,60}(?:not reachable|does ?n[o']t exist|not exist|is unknown|was not found)/,
  ),
];

const LOCAL_PROGRAM: Phrase[] = rule(
  'mailer_error',
  /command (?:failed|died|returned|timed)|exit(?:ed)? (?:status|code|with)|procmail|\bpipe\b|maildrop|child process|x-unix/,
);

const NOT_NOW: Phrase[] = [
  ...rule('greylisted', /gr[ea]y-?list|verification in progress/),
  ...rule(
    'system_error',
    /(?:mail ?box|account|user|recipient|address)\b.{0,30}\b(?:temporarily|currently|momentarily) (?:unavailable|not available|rejected|deferred|busy|inaccessible)|mail ?box (?:is )?busy/,
  ),
];

const UNKNOWN_PERSON: Phrase[] = rule(
  'user_unknown',
  /(?:user|recipient|mail ?box|account|address|addressee|customer|member|login|person)(?:'s)?(?: name| address| id| account)?\b.{0,60}(?:\bunknown|not (?:be )?(?:found|known|exist|listed|valid|recogni[sz]ed|present|a (?:known|valid)|our (?:customer|user)|local|here|registered|on this)|does ?n[o']t exist|don't exist|(?:is|are) invalid|isn't|wasn.?t found|couldn.?t be found|non-?existent|has been (?:removed|deleted|terminated|closed)|deleted|no longer|cannot be found)/,
  /(?:unknown|invalid|no such|non-?existent|not a (?:valid|known)|no valid|bad|illegal|undefined|unrout[e]?able|unrecogni[sz]ed|incorrect) (?:or (?:unknown|invalid|illegal) )?(?:local |mail |e-?mail |virtual )?(?:user|recipient|mail ?box|account|address|addressee|name|person|alias|local.?part|destination (?:mailbox|user))/,
  /\bno (?:mailbox|account|user|recipient|one)\b .{0,40}(?:here|by that name|with that|found)|not (?:listed|found) in .{0,40}(?:directory|address book|domino)|does(?: ?n[o']t) (?:have|exist)|nosuchuser|recip(?:ient)?notfound|resolver\.adr|no longer (?:valid|available|exists?|in use|on server)|there is no (?:such )?(?:user|account|one|mailbox)/,
  /(?:recipient|address(?:ee)?) (?:address )?(?:was |is |has been )?(?:rejected|undeliverable|refused)|<address>:? (?:was )?rejected|mail ?box (?:is )?(?:unavailable|not available)|check (?:if |whether |that )?(?:the |your |this )?(?:recipient'?s? )?(?:e-?mail )?address|address is (?:possibly )?(?:incorrect|wrong)|unable to (?:verify|validate) (?:user|recipient|address)|user ?id .{0,20}not|does not like recipient|(?:recipient|address) is not in my\b/,
  // Domino in German.
  /benutzer .{0,100}nicht im domino-?verzeichnis/,
  // Exchange Online's edge, for an address its directory does not have.
  /5\.4\.1 .{0,20}access denied/,
);

const ABOUT_TIME: Phrase[] = [
  ...rule(
    'expired',
    /(?:timed? ?out|time-?out|timeout)|retry (?:time|timeout) .{0,30}exceeded|(?:message|delivery|queue|mail) (?:has |time |was )?(?:expired|expiration)|(?:unable|could not|not been able|cannot|failed) .{0,60}(?:deliver\w{0,20}|sent?) .{0,60}(?:hours?|days?|minutes?|period|time)|(?:been )?(?:in the )?queue .{0,30}too long|too long in queue|undelivered (?:for|after)|gave up|giving up|not responding|delivery (?:time|deadline)/,
  ),
  ...rule(
    'system_error',
    /internal (?:system |server |software )?error|(?:system|service|server|resources?|system resources) (?:is |are |currently |temporarily )?(?:not available|unavailable|busy|error|failure|problem|insufficient|overload)|local (?:error|configuration)|temporar(?:y|ily)|try (?:again )?later|(?:insufficient|out of) (?:system )?(?:resources|memory)|i\/o error|unable to (?:open|write|create)|configuration error|mail system .{0,20}(?:full|error)/,
  ),
];

export const REPLY_PHRASES: readonly Phrase[] = [
  ...ONE_BUSY_MAILBOX,
  ...ABOUT_THE_SENDER,
  ...ABOUT_THE_MAIL,
  ...ABOUT_THE_PERSON,
  ...ABOUT_THE_HOST,
  ...LOCAL_PROGRAM,
  ...NOT_NOW,
  ...UNKNOWN_PERSON,
  ...ABOUT_TIME,
];

/** RFC 3463 and its registry, without the class digit: a `4.1.1` that ended in a report is as final as a `5.1.1`. */
export const STATUS_REASONS: Readonly<Record<string, ReplyReason>> = {
  '1.0': 'user_unknown',
  '1.1': 'user_unknown',
  '1.2': 'host_unknown',
  '1.3': 'user_unknown',
  '1.4': 'filtered',
  '1.5': 'delivered',
  '1.6': 'moved',
  '1.7': 'sender_rejected',
  '1.8': 'sender_rejected',
  '1.9': 'expired',
  '1.10': 'no_mail_accepted',
  '2.0': 'filtered',
  '2.1': 'suspended',
  '2.2': 'mailbox_full',
  '2.3': 'too_large',
  '2.4': 'filtered',
  '2.121': 'mailbox_busy',
  '2.122': 'mailbox_busy',
  '3.0': 'system_error',
  '3.1': 'system_error',
  '3.2': 'system_error',
  '3.3': 'system_error',
  '3.4': 'too_large',
  '3.5': 'system_error',
  '4.0': 'network_error',
  '4.1': 'expired',
  '4.2': 'network_error',
  '4.3': 'network_error',
  '4.4': 'host_unknown',
  '4.5': 'rate_limited',
  '4.6': 'network_error',
  '4.7': 'expired',
  '5.0': 'protocol',
  '5.1': 'protocol',
  '5.2': 'protocol',
  '5.3': 'rate_limited',
  '5.4': 'protocol',
  '6.0': 'content',
  '6.1': 'content',
  '6.3': 'content',
  '6.5': 'content',
  '7.8': 'relay_denied',
  '7.13': 'suspended',
  '7.17': 'user_unknown',
  '7.18': 'user_unknown',
  '7.20': 'auth_failure',
  '7.21': 'auth_failure',
  '7.22': 'auth_failure',
  '7.23': 'auth_failure',
  '7.25': 'blocked',
  '7.26': 'auth_failure',
  '7.27': 'auth_failure',
  '7.28': 'rate_limited',
  '7.29': 'policy',
  '7.515': 'auth_failure',
};
