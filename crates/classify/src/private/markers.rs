//! The words beside which private data stands, found in one pass.
//!
//! Owns the list of words and what each announces. Refuses to read what follows: that is the finders' business.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Marker {
    /// A name follows: how sure it is with one word of it, and with two.
    Introduction(f32, f32),
    /// A title: a name follows.
    Title,
    /// A street's kind after its name, as in English: the number stands before the name.
    StreetAfter,
    /// A street's kind at the end of its name, as in German: the number follows.
    StreetEnd,
    /// A street's kind before its name, as in French.
    StreetBefore,
    /// A street or a quarter of East Asia: its number follows.
    StreetHan,
    /// Somebody's home is told.
    Home,
    /// A name follows in a script without capitals.
    Called,
    /// A title follows a name in a script without capitals.
    Honorific,
    /// A short code follows: a PIN, a recovery code.
    Code,
    /// The words of a wallet follow.
    Seed,
    /// Stands for the @ of an address.
    At,
    /// A birth date follows.
    Birth(f32),
    /// Somebody's health is spoken of.
    Health(f32),
    /// A secret is assigned.
    Secret,
    /// A bearer token follows.
    Bearer,
    /// A key in PEM form.
    Pem,
}

/// A word found: what it announces, and its byte range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    pub(super) marker: Marker,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// `(what, words separated by |)`.
const TABLE: &[(Marker, &str)] = &[
    (
        Marker::Introduction(0.25, 0.84),
        "my name is |my name's |name's |mein name ist |ich heiße |ich bin |je m'appelle |je suis |me llamo |soy |mi chiamo |sono |\
        meu nome é |me chamo |mijn naam is |ik ben |nazywam się |jag heter |jeg heter |nimeni on |benim adım |меня зовут |с вами ",
    ),
    (Marker::Introduction(0.1, 0.82), "i'm |i am |this is |speaking is |here is "),
    (
        Marker::Introduction(0.7, 0.92),
        "my full name is |full name: |full name is |vollständiger name: |nom complet : ",
    ),
    (Marker::Introduction(0.9, 0.95), "patient name: |patient's name: |patient's name is "),
    (
        Marker::Introduction(0.4, 0.86),
        "name: |name\": \"|name\":\"|name=|name = '|name = \"|name is |nome: |nom : |nom: |nombre: |naam: |navn: |namn: |имя: |фио: |first name |\
        first name: |first_name\":\"|first_name\": \"|firstname\": \"|last name |last name: |surname: |vorname: |nachname: |fullname\":\"|\
        fullname\": \"|<name>|<first>|<last>|<firstname>|<lastname>",
    ),
    (
        Marker::Introduction(0.45, 0.88),
        "patient: |patientin: |paciente: |patient : |пациент: |attn: |attention: |suspect: |intake: |contact: ",
    ),
    (
        Marker::Introduction(0.4, 0.86),
        "customer: |client: |employee: |tenant: |applicant: |owner: |assignee: |witness: |insured: |kunde: ",
    ),
    (
        Marker::Introduction(0.0, 0.86),
        "patient |patientin |la patiente |le patient |paciente |pacjent |pacjentka |pasient |potilas |hasta |bệnh nhân |пациент |\
        пациентка |пациента |пациентки |customer |employee |tenant |landlord |suspect |witness |defendant |plaintiff |our nurse |\
        mitarbeiter |mitarbeiterin |kollege |kollegin |kundin |mieter |mieterin |schüler |schülerin |bewerber |bewerberin |alumno |alumna |\
        empleado |empleada |inquilino |inquilina |dipendente |funcionário |funcionária |werknemer |medewerker |pracownik |pracownica |\
        klientka |сотрудник |сотрудница |клиент |client m. |salarié |salariée |élève |müşteri |çalışan |anställd |medarbetare |nhân viên |\
        khách hàng |asiakas |hyresgäst |zaměstnanec |zamestnanec ",
    ),
    (
        Marker::Introduction(0.0, 0.82),
        "client |applicant |candidate |student |pupil |classmate |attendee |volunteer |intern |trainee ",
    ),
    (
        Marker::Introduction(0.0, 0.6),
        "reference letter for |payslip for |contract for |refund for |letter for |review for |review of |eulogy for |obituary for |recommendation for |appraisal for |feedback for |\
        letter to |email to |mail to |invoice for |invoice to |complaint about |spoke to |spoke with |met with |meeting with |call with |\
        interview with |meet with |signed by |reported by |hired |fired |promote |promoted ",
    ),
    (
        Marker::Introduction(0.2, 0.84),
        "my colleague |my coworker |my boss |my manager |my neighbour |my neighbor |my wife |my husband |my son |my daughter |my uncle |\
        my aunt |my cousin |my friend |my brother |my sister |my mother |my father |my ex |my teacher |my student |my landlord |\
        meine frau |mein mann |mein sohn |meine tochter |mein onkel |meine tante |mein chef |meine chefin |mein nachbar |\
        ma femme |mon mari |mon fils |ma fille |mon voisin |mi mujer |mi marido |mi hijo |mi hija |mi vecino |mia moglie |mio marito |\
        mio figlio |mia figlia |minha esposa |meu marido |meu filho |minha filha |mijn vrouw |mijn man |moja żona |mój mąż |мой муж |моя жена ",
    ),
    (Marker::Introduction(0.0, 0.7), "don |doña |señorita |dona |maestro |suor |schwester "),
    (
        Marker::Title,
        "mr. |mrs. |prof. |professor |dr. |dr |herrn |ing. |ms. |mr |mrs |ms |miss |herr |frau |madame |monsieur |mme |señor |señora |sr. |sra. |signor |signora |sig. |sig.ra |\
        dhr. |mevr. |mevrouw |meneer |pan |pani |господин |госпожа |гражданин |гражданка |bay |bayan |κύριος |κυρία ",
    ),
    (
        Marker::Introduction(0.25, 0.6),
        "dear |sehr geehrter herr |sehr geehrte frau |cher |chère |estimado |estimada |gentile |from: |to: |cc: |sincerely, |regards, ",
    ),
    (
        Marker::Called,
        "患者|病人|员工|客户|同事|租客|嫌疑人|我叫|姓名|名字是|名叫|妈妈叫|爸爸叫|儿子叫|女儿叫|老公叫|老婆叫|朋友叫|老板叫|氏名|名前は|환자|고객|직원|세입자|이름은|이름|저는|성명|المريضة |المريض |الموظف |\
        الموظفة |العميل |العميلة |اسمي |السيد |السيدة |المستأجر |का नाम |मेरा नाम |मरीज़ |मरीज |कर्मचारी |श्री |श्रीमती ",
    ),
    (Marker::Honorific, "様|さん|氏|先生|女士|小姐| 님|님|씨"),
    (
        Marker::StreetAfter,
        " street| st,| st.| st\n| avenue| ave| road| rd| lane| ln| drive| boulevard| blvd| court| ct,| terrace| crescent| close,| way,|\
        square,| place,| parkway| gardens| grove| mews| highway| st ",
    ),
    (
        Marker::StreetEnd,
        "straße |strasse |str. |weg |gasse |allee |platz |ring |damm |ufer |straat |laan |gracht |kade |plein |dijk |singel |gatan |\
        vägen |gränd |gata |gate |veien |vei |vej |gade |allé |katu |tie |utca |gatan ",
    ),
    (
        Marker::StreetBefore,
        " rue | avenue | boulevard | chemin |allée |impasse |calle |avenida |avda. |paseo |plaza |carrer |via |viale |corso |piazza |\
        rua |travessa |largo |alameda |ulica |ul. |al. |os. |улица |ул. |просп. |проспект |пер. |strada |str. |ulice |cd. |sk. ",
    ),
    (Marker::StreetHan, "路|街|弄|大道|巷|丁目|区|町|〒"),
    (
        Marker::Home,
        "i live at|lives at|live at|i live in|wohnt|wohnen in|habita|vive en|abita|mora na|mora em|woont|bor på|bydlí|my address|home address|ship to|send it to|deliver to|meine adresse|meine anschrift|anschrift:|\
        adresse:|address:|wohnhaft|wohne in|j'habite|habite au|mon adresse|vivo en|mi dirección|dirección:|abito in|mio indirizzo|indirizzo:|\
        moro na|meu endereço|endereço:|mijn adres|ik woon|mój adres|mieszkam|мой адрес|адрес:|живу|my place|my flat|my house|住所|地址|住在|주소|\
        adresim|العنوان|पता",
    ),
    (
        Marker::Birth(0.9),
        "date of birth|birth date|birthdate|birth_date|birthday\"|dob|d.o.b|geburtsdatum|geburtstag|geb. am|geb.|date de naissance|né(e) le|\
        fecha de nacimiento|data di nascita|data de nascimento|geboortedatum|data urodzenia|födelsedatum|fødselsdato|syntymäaika|doğum tarihi|\
        дата рождения|出生日期|生年月日|생년월일|تاريخ الميلاد|जन्म तिथि|datum narození",
    ),
    (
        Marker::Birth(0.88),
        "my birthday is|birthday of my|my birthday|i was born on|i was born|ich bin am|ich wurde am|je suis né le|je suis née le|nací el|\
        nací en|sono nato il|sono nata il|nasci em|nasci no dia|ik ben geboren|urodziłem się|urodziłam się|я родился|я родилась|我出生于|\
        我生于|私は|저는|'s birthday is|was born on my|doğum günüm|jag är född",
    ),
    (
        Marker::Birth(0.82),
        "born on|born |geboren am|geboren op|né le|née le|nacido el|nacida el|nato il|nata il|nascido em|nascida em|ur. |urodzony|urodzona|\
        född |født |syntynyt|родился|родилась|года рождения|出生于|doğumlu",
    ),
    (Marker::Health(0.85), "mrn:|mrn |medical record number"),
    (
        Marker::Health(0.82),
        "i am hiv|i'm hiv|hiv positive|hiv-positive|my lab results|my medical history|my antidepressant|my diagnosis",
    ),
    (Marker::Health(0.6), "insurance number|patient id|my blood test|my prescription"),
    (Marker::Health(0.3), "my therapist"),
    (
        Marker::Secret,
        "password|passwd|passphrase|passcode|pwd|secret|token|api_key|apikey|api-key|api key|access_key|access key|access code|private_key|\
        account_key|accountkey|client_secret|credentials|login|license key|encryption key|\
        passwort|kennwort|zugangsdaten|mot de passe|contraseña|clave|senha|wachtwoord|hasło|lösenord|adgangskode|passord|salasana|heslo|şifre|\
        parola|пароль|κωδικός|密码|口令|パスワード|暗証番号|비밀번호|كلمة المرور|पासवर्ड|mật khẩu",
    ),
    (
        Marker::Code,
        "pin|cvv|cvc|otp|recovery code|code for the|entry code|garage code|lock code|backup code|verification code|one-time code|2fa code|security code|door code|alarm code|gate code|tan|puk",
    ),
    (Marker::Seed, "seed phrase|recovery phrase|mnemonic phrase|wallet phrase"),
    (Marker::At, "[at]|(at)|{at}|<at>| at | ät | arroba | chiocciola | arobase | małpa | собака | @ "),
    (Marker::Bearer, "bearer "),
    (Marker::Pem, "-----begin "),
];

struct Search {
    /// What each pattern announces.
    markers: Vec<Marker>,
    automaton: Option<AhoCorasick>,
}

/// Every marker in a text, as whole words on their left side, in order.
pub(super) fn find(text: &str) -> Vec<Marked> {
    static SEARCH: LazyLock<Search> = LazyLock::new(|| {
        let all = || TABLE.iter().flat_map(|(marker, words)| words.split('|').map(|word| (*marker, word)));
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(all().map(|(_, word)| word));
        // The patterns are constants, of a size that always builds.
        Search { markers: all().map(|(marker, _)| marker).collect(), automaton: automaton.ok() }
    });
    let Some(automaton) = &SEARCH.automaton else { return Vec::new() };
    automaton
        .find_overlapping_iter(text)
        .map(|found| Marked {
            marker: SEARCH.markers[found.pattern().as_usize()],
            start: found.start(),
            end: found.end(),
        })
        .filter(|marked| starts_word(text, *marked))
        .collect()
}

/// Whether a word starts where a marker does; streets that end a name, and secrets in `DB_PASSWORD`, need none.
fn starts_word(text: &str, marked: Marked) -> bool {
    let spaced = text[marked.start..].starts_with(' ');
    let inside = matches!(marked.marker, Marker::StreetEnd | Marker::Secret | Marker::At);
    spaced
        || inside
        || !text[..marked.start].ends_with(|letter: char| letter.is_alphabetic() && letter.is_ascii())
}
