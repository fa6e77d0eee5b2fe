/**
 * What programs call themselves, made up for these tests in the shapes that real ones have, so that the rates are held
 * where the collection of others is not at hand.
 */
export const MADE_UP_MACHINES: readonly string[] = [
  // A name with a version, and an address where to ask.
  ...[
    'MadeUpBot',
    'exampleCrawler',
    'Sample-Spider',
    'LinkProbe',
    'PageFetcher',
    'feedreader-example',
  ].flatMap((name) => [
    `${name}/1.0`,
    `${name}/2.3.1 (+https://bots.example.com/about)`,
    `Mozilla/5.0 (compatible; ${name}/1.0; +https://bots.example.com/about)`,
    `Mozilla/5.0 (compatible; ${name}; bots@example.com)`,
    `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko; compatible; ${name}/1.0) Chrome/142.0.0.0 Safari/537.36`,
  ]),
  // A browser that says what it is behind everything else.
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; SampleBot/2.1; +http://bots.example.com/bot.html)',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 https://preview.example.com',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1 (ExampleSpider)',
  // Libraries and tools, with the versions they never had.
  ...['curl/99.1', 'Wget/99.1', 'python-requests/99.1', 'Go-http-client/9.9', 'okhttp/99.1', 'Java/99.0.1'],
  ...[
    'axios/99.1',
    'node-fetch/99.1',
    'Apache-HttpClient/99.1 (Java/99)',
    'libwww-perl/99.1',
    'Ruby',
    'PHP/99.1',
  ],
  // Gateways in front of mailboxes, and those who name nothing.
  'ExampleMail Link Checker 3.0',
  'Mozilla/5.0 (compatible; Example Safe Links Scanner)',
  'Example Security Gateway; url-check',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) ExampleMail Image-Proxy',
  'Mozilla/5.0',
  '',
];
