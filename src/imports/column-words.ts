/** What a column is; the words are in `TARGETS`. */
export type Target = 'email' | (string & {});

/**
 * Headers of plain tables in English, German, French, Spanish, Portuguese, Italian and Dutch, without accents, spaces and
 * case. `createdAt` says when somebody came, and is no word of theirs on what they agreed to.
 */
const HEADERS: readonly (readonly [target: Target, headers: string])[] = [
  [
    'email',
    `email emailaddress subscriber subscriberemail mail emailaddr emailadresse mailadresse adresseemail adressemail
     adressedemessagerie adresseelectronique courriel correo correoelectronico direcciondecorreo
     direcciondecorreoelectronico direccionemail enderecodeemail enderecoemail correioeletronico correioelectronico
     indirizzoemail indirizzomail indirizzodiposta postaelettronica emailadres mailadres`,
  ],
  [
    'name',
    `name fullname vollername vollstandigername nom nomcomplet nombre nombrecompleto nombreyapellidos nome nomecompleto
     naam volledigenaam`,
  ],
  [
    'firstName',
    `firstname givenname forename vorname rufname prenom nombredepila primernombre primeironome nomeproprio nomedibattesimo
     voornaam`,
  ],
  [
    'lastName',
    `lastname surname familyname nachname familienname zuname nomdefamille apellido apellidos sobrenome apelido ultimonome
     cognome achternaam familienaam`,
  ],
  ['status', 'status state'],
  ['timeZone', 'timezone zeitzone fuseauhoraire zonahoraria fusohorario fusoorario tijdzone'],
  ['locale', 'locale language'],
  ['tags', 'tags'],
  ['lists', 'lists'],
  [
    'createdAt',
    `createdat created createdon creationdate datecreated dateadded addedat addedon signedup signedupat signedupon signupdate
     dateofsignup subscribedat subscribedon subscriptiondate registeredat registrationdate joinedat joindate datejoined
     angemeldet angemeldetam anmeldedatum anmeldung eingetragenam erstelltam erstellt registriertam
     inscritle datedinscription dateinscription datedabonnement abonnele creele datedecreation
     fechadealta fechaderegistro fechadesuscripcion fechadeinscripcion fechadecreacion suscritoel registradoel creadoel
     datadeinscricao datadecadastro dataderegistro dataderegisto datadecriacao inscritoem cadastradoem criadoem
     dataiscrizione datadiiscrizione datadiregistrazione datadicreazione iscrittoil registratoil creatoil
     aangemeldop aanmelddatum inschrijfdatum datumvaninschrijving ingeschrevenop geregistreerdop aangemaaktop`,
  ],
];

const TARGET_OF: ReadonlyMap<string, Target> = new Map(
  HEADERS.flatMap(([target, headers]) => headers.split(/\s+/).map((header) => [header, target] as const)),
);

/** What a column seems to be by its name, as `plainName` gives it. */
export function targetOfWord(name: string): Target | undefined {
  return TARGET_OF.get(name.normalize('NFD').replaceAll(/\p{M}/gu, ''));
}

/** Where a table has this column for the first name, the one that is called name alone is for the last. */
const BESIDE_THE_LAST = new Set(['vorname', 'rufname', 'prenom', 'prénom', 'voornaam']);

/**
 * Beside a column for the last name, one that is called just name holds the first; beside `Vorname`, `Prénom` or
 * `Voornaam` it holds the last.
 */
export function partOfName(targets: readonly Target[], names: readonly string[]): Target {
  const first = targets.indexOf('firstName');
  const hasLast = targets.includes('lastName');
  if (first < 0) return hasLast ? 'firstName' : 'name';
  return !hasLast && BESIDE_THE_LAST.has(names[first] ?? '') ? 'lastName' : 'name';
}
