import { isbot } from 'isbot';

/**
 * `proxy`: a mail service that fetches pictures for its readers; `scanner`: a program that says what it is; `foreign`:
 * dressed as a browser, with a name on it that no browser of people carries; `person`: nothing speaks against one.
 */
interface UserAgentVerdict {
  kind: 'person' | 'proxy' | 'scanner' | 'foreign';
  /** Short and stable. */
  reason: string;
}

/**
 * Picture proxies of mail services. Apple's Mail Privacy Protection calls itself `Mozilla/5.0` and nothing more; Gmail
 * and Yahoo give their names, others a name that ends alike.
 */
const MAIL_PROXY =
  /GoogleImageProxy|ggpht\.com|YahooMailProxy|(?:Image|Mail|Picture|Photo)-?Prox(?:y|ies)\b|^Mozilla\/[45]\.0$/i;

/** Mail programs whose names isbot takes for a program's, or that begin as no browser does. */
const MAIL_PROGRAM =
  /^(?:Outlook-(?:iOS|Android)|Microsoft Office\/\d+\.\d+ \((?:Windows NT|Macintosh|Microsoft Outlook)|Thunderbird|Postbox|Airmail|Spark|eM Client)\b/;

/** Tools a developer holds in the hand; beside the built-in mailbox they stand for the reader. */
const HAND_TOOL =
  /^(?:curl|wget|node|node-fetch|undici|axios|got|superagent|python-(?:requests|httpx|urllib3?)|aiohttp|Go-http-client|okhttp|HTTPie|PostmanRuntime|insomnia|Ruby|Deno|Bun)\b|HeadlessChrome\/|^$/i;

/**
 * Names that stand in the user agents of browsers, mail programs and apps that people use. A browser that is missing
 * here costs its readers a class `unknown`; add it together with a line in the list of people's user agents.
 */
const KNOWN_NAMES = new Set(
  `mozilla applewebkit khtml gecko goanna presto trident webkit blink like chrome chromium safari firefox version mobile
  crios fxios edgios edg edga edge opr opios opt opx opera samsungbrowser vivaldi yabrowser yasearchbrowser miuibrowser
  xiaomi ucbrowser u2 ucturbo whale silk duckduckgo ddg epiphany gsa avg avast ccleaner norton avira brave seamonkey
  palemoon waterfox librewolf floorp zen iceweasel icecat icedragon basilisk k-meleon konqueror falkon qupzilla midori
  otter qutebrowser qtwebengine ecosia puffin maxthon sogoumse metasr qqbrowser mqqbrowser qihu 360se 360ee lbbrowser quark
  baiduboxapp baidubrowser bidubrowser heytapbrowser vivobrowser huaweibrowser honorbrowser aloha kiwi dolfin coc_coc_browser
  focus klar fennec kode sleipnir iron comodo_dragon dragon slimjet cent coast arc dia comet atlas ladybird orion kagi sidekick
  thunderbird betterbird postbox mailspring oneoutlook outlook em_client emclient superhuman missive front spark airmail
  polymail wavebox shift rambox ferdium franz station slack teams teamsmobile-ios teamsmobile-android electron discord
  whatsapp telegram signal line iab kakaotalk inapp naver daum micromessenger wechat weixin nettype language abi
  mmwebid mmwebsdk xweb instagram barcelona snapchat twitter for iphone ipad android pinterest linkedinapp flipboard
  bytedancewebview musical_ly trill jssdk tablet build ubuntu fedora debian suse mint gentoo ipod nokia blackberry
  playstation nintendobrowser nf xbox smarttv smart-tv tizen webos web0s hbbtv maple tesla qtcarbrowser ohos arkweb
  blackberry10 bb10 ubuntutouch tizenbrowser netfront nx gls lg_browser large screen webappmanager`.split(
    /\s+/,
  ),
);

/** What may stand in the brackets of a Mac or an iPhone, whose makers leave no room for device names. */
const APPLE_PLATFORM =
  /^(?:Macintosh|iPhone|iPad|iPod(?: touch)?|U|Intel|(?:Intel |PPC )?Mac OS X(?: Mach-O)?(?: [\d._]+)?|(?:CPU )?(?:iPhone )?OS [\d_]+ like Mac OS X|CPU like Mac OS X|[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?|rv:[\d.]+\w*|FB[A-Z]+\/.*|iOS [\d.]+|scale=[\d.]+|Silicon)$/i;

/** In brackets, the old form of a program that says it is compatible with a browser. */
const COMPATIBLE =
  /^Mozilla\/\d\.\d \(compatible\b[;,)\s]*(?![;,)\s]|MSIE|Konqueror|ms-office|OmniWeb|iCab|Trident)/i;

/** How the first brackets begin: the system, or who is compatible with what. */
const PLATFORM_START =
  /^(?:Windows|Macintosh|X11|Wayland|Linux|Android|iPhone|iPad|iPod|compatible|PlayStation|Nintendo|SMART-TV|SmartTV|Web0S|Tizen|Mobile|Tablet|BB10|BlackBerry|PlayBook|OpenBSD|FreeBSD|NetBSD|OS\/2|SAMSUNG|Series|Symbian|Phone|Unknown|U;|Maemo|Meego|Fuchsia|QtCar|TV|DirectFB|Haiku|SunOS|Sailfish|Ubuntu|Chromecast|Xbox|VIDAA)/i;

const PARTS = /\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\]|[^\s()[\]]+/g;
/** An app's own browser on a phone or tablet; apps add their names and versions freely. */
const IN_APP = /; wv\)|\bMobile\/\w+(?!.*\bSafari\/)|\bMobile\/15E148\b/;

/** Who says such a name. Empty, and whatever does not begin as a browser does, counts as a program. */
export function judgeUserAgent(userAgent: string): UserAgentVerdict {
  const text = userAgent.trim();
  if (text === '') return { kind: 'scanner', reason: 'no user agent' };
  if (MAIL_PROXY.test(text)) return { kind: 'proxy', reason: 'mail image proxy' };
  if (MAIL_PROGRAM.test(text)) return { kind: 'person', reason: 'mail program' };
  if (isbot(text)) return { kind: 'scanner', reason: 'user agent of a program' };
  if (!/^(?:Mozilla|Opera)\/\d/.test(text))
    return { kind: 'scanner', reason: 'user agent that begins as no browser does' };
  if (/https?:|www\.|@[\w-]+\./i.test(text))
    return { kind: 'scanner', reason: 'user agent with an address in it' };
  if (COMPATIBLE.test(text)) return { kind: 'scanner', reason: 'user agent of a program' };
  const stranger = foreignPart(text);
  if (stranger === null) return { kind: 'person', reason: 'browser' };
  return { kind: 'foreign', reason: 'browser with a name on it that no browser of people carries' };
}

/** `curl` and the like, a test's browser without a window, or none at all. */
export function isHandTool(userAgent: string): boolean {
  return HAND_TOOL.test(userAgent.trim());
}

/** The first part that browsers do not have, or null. */
function foreignPart(userAgent: string): string | null {
  const parts = userAgent.match(PARTS) ?? [];
  const inApp = IN_APP.test(userAgent);
  const comments = parts.filter((part) => part.startsWith('('));
  const odd = comments.find((part) => part.startsWith('(KHTML') && part !== '(KHTML, like Gecko)');
  const platform = comments[0]?.slice(1, -1) ?? '';
  if (odd !== undefined || !PLATFORM_START.test(platform)) return odd ?? platform;
  if (/^(?:Macintosh|iPhone|iPad|iPod)\b/.test(platform)) {
    const segment = platform.split(/;\s*/).find((text) => text !== '' && !APPLE_PLATFORM.test(text));
    if (segment !== undefined) return segment;
  }
  return (
    parts
      .filter((part) => !/^[([]/.test(part))
      .find((part, index, words) => isForeignWord(part, words[index - 1] ?? '', inApp)) ?? null
  );
}

function isForeignWord(word: string, before: string, inApp: boolean): boolean {
  const [name = '', version] = word.replace(/[,;]$/, '').split('/', 2);
  if (name === '' || KNOWN_NAMES.has(name.toLowerCase()) || /^[\d._]+$/.test(name)) return false;
  if (/^(?:musical_ly|trill)_[\d_]+$/.test(name) || /^en(?:-\w+)?$/i.test(name)) return false;
  // Apps give a name and a version of some length; a lone word or a bare counter is a program's mark.
  return !(inApp && version !== undefined && name.length > 2 && before !== '');
}
