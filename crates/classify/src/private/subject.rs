//! What a text speaks of, as far as it says whose the names and numbers in it are: somebody's life and work, or the world
//! at large; and somebody's health.
//!
//! Owns the words for both in many languages and the nearness of an illness to whom it belongs to. Refuses names: those
//! are found elsewhere and only weighed by this.

use std::sync::LazyLock;

use api::PrivateKind;

use super::Finding;
use crate::lexicon::Lexicon;
use crate::words::Word;

/// What the words of a text say about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject {
    /// It speaks of somebody's work, home, family, money or illness.
    pub(super) life: bool,
    /// It speaks of history, art, science or fiction.
    pub(super) public: bool,
}

/// What a phrase says.
#[derive(Clone, Copy, PartialEq)]
enum Cue {
    Life,
    Public,
    /// Whoever an illness is told of, surely.
    Owner,
    /// A word that makes the next ones somebody's.
    Near,
    /// A mark of a clinical note.
    Clinical,
    Condition,
    /// A piece of work about a matter: what follows is its subject, nobody's own.
    Topic,
}

const CUES: &[(Cue, &str)] = &[
    (
        Cue::Life,
        "patient|tenant|tenants|landlord|landlady|employee|employees|coworker|colleague|boss|manager|supervisor|\
        applicant|candidate|resume|cv|cover letter|reference letter|letter of recommendation|recommendation letter|\
        performance review|appraisal|salary|payroll|let go|fired|dismissed|dismissal|laid off|hired|resignation|\
        sick leave|absent|onboarding|new hire|client|clients|customer|customers|account|invoice|complaint|refund|\
        policyholder|insured|insurance|lease|rent|rented|mortgage|loan|custody|divorce|divorced|divorcing|divorcent|\
        divorcer|separent|scheiden lassen|divorcian|divorciados|separati|divorziano|notify|remind|late rent|\
        rent is late|warning to|owes me|payslip|paycheck|our son|our daughter|bullied|borrow|babysit|pedido|commande|bestellung|zamowienie|ordine|encomenda|bestelling|заказ|stole|\
        theft|harassed|assaulted|affair|pregnant|overtime|probation|bonus|pension|raise|promotion|custody|separated|\
        lawsuit|plaintiff|defendant|suspect|witness|victim|arrested|eulogy|obituary|funeral|condolence|condolences|\
        wedding|birthday|baby shower|my uncle|my aunt|my cousin|my friend|my neighbour|my neighbor|my ex|my son|\
        my daughter|my wife|my husband|my mother|my father|my brother|my sister|my mom|my mum|my dad|my grandmother|\
        my grandfather|my teacher|my doctor|my student|our tenant|our teacher|pupil|classmate|detention|appointment|\
        discharge|admitted|diagnosed|diagnosis|prescription|surgery|therapy|referral|emergency contact|next of kin|\
        beneficiary|attendee|attendees|guest list|emails to|email to|mail to|letter to|message to|text to|write to|\
        reply to|dear|regards|sincerely|cc|meeting with|meeting w|call with|interview with|spoke to|spoke with|\
        met with|crm|crm note|intake|lives in|moved to|passport|visa|address|phone|contact|contacts|attn|signed|\
        signature|apartment|flat|first name|last name|surname|full name|maiden name|name|owner|assignee|reporter|\
        author email|ticket|delivery|parcel|shipping|bought|paid|owes|owed|donor|member|membership|volunteer|nanny|\
        babysitter|therapist|counsellor|patientin|mieter|mieterin|vermieter|mitarbeiter|mitarbeiterin|kollege|\
        kollegin|kunde|kundin|bewerber|bewerberin|bewerbung|arbeitszeugnis|gehalt|krank|krankmeldung|kundigung|\
        gekundigt|rechnung|mahnung|miete|scheidung|schuler|schulerin|meine mutter|mein vater|meine frau|mein mann|\
        mein sohn|meine tochter|mein onkel|meine tante|termin|sehr geehrte|sehr geehrter|liebe|anschreiben|adresse|\
        geboren|locataire|proprietaire|salarie|salariee|employeur|employe|licencie|licenciee|client|cliente|facture|\
        loyer|divorce|eleve|ma mere|mon pere|ma femme|mon mari|mon fils|ma fille|rendez vous|madame|monsieur|\
        attestation|entretien|inquilino|inquilina|empleado|empleada|despido|despedido|despedida|alumno|alumna|\
        expulsado|paciente|clientes|factura|alquiler|sueldo|mi madre|mi padre|mi mujer|mi marido|mi hijo|mi hija|\
        estimado|estimada|cita|inquilini|dipendente|licenziato|licenziata|fattura|affitto|stipendio|paziente|\
        mia madre|mio padre|mia moglie|mio marito|mio figlio|mia figlia|gentile|funcionario|funcionaria|demitido|\
        demitida|aluguel|minha mae|meu pai|minha esposa|meu marido|huurder|werknemer|klant|ontslagen|salaris|\
        mijn moeder|mijn vader|afspraak|pracownik|pracownica|najemca|klientka|klient|faktura|zwolniony|pacjent|\
        pacjentka|moja matka|hyresgast|anstalld|uppsagning|lejer|medarbejder|ansatt|pasient|asiakas|potilas|\
        vuokralainen|zamestnanec|pacient|calisan|kiraci|musteri|сотрудник|сотрудница|пациент|пациентка|клиент|\
        арендатор|уволен|зарплата|счет|договор|моя мама|мой отец|мой муж|моя жена|уважаемый|уважаемая|υπάλληλος|\
        υπάλληλός|ασθενής|άδεια|πελάτης|ενοικιαστής|μισθός",
    ),
    (
        Cue::Public,
        "who was|who is|who were|who are|who wrote|who invented|who painted|who discovered|who won|who played|\
        who directed|when was|when did|where was|was he|biography|biographical|novel|novels|poem|poems|poet|\
        playwright|play by|book by|film|movie|actor|actress|singer|album|song|band|composer|symphony|painter|painting|\
        philosopher|philosophy|theorem|physicist|mathematician|scientist|inventor|emperor|king|queen|pope|pharaoh|\
        president|prime minister|chancellor|senator|founding father|famous|historical|history|historian|century|\
        medieval|renaissance|revolution|war|nobel|oscar|grammy|world cup|olympic|olympics|champion|in the style of|\
        quote by|quotes|quotation|mythology|legend|saint|bible|character|characters|protagonist|villain|fiction|\
        fictional|fantasy|fairy tale|short story|story about|plot|chapter|scene|screenplay|episode|sitcom|\
        dialogue between|comic|anime|video game|celebrity|influencer|ceo of|founder of|compare the|leadership styles|\
        published in|et al|paper by|passage|article|paragraph|context|wikipedia|according to the text|wer war|wer ist|\
        wann wurde|roman|komponist|maler|dichter|schriftsteller|beruhmt|jahrhundert|qui etait|qui est|qui a ecrit|\
        quand est|quand a|roman de|peintre|poete|compositeur|celebre|siecle|quien fue|quien es|quien escribio|\
        cuando nacio|pintor|pintora|poeta|novela|famoso|siglo|chi era|chi e|chi ha scritto|quando e nato|pittore|\
        romanzo|compositore|secolo|quem foi|quem e|quando nasceu|escritor|romance|seculo|wie was|schilder|schrijver|\
        kim byl|kto napisal|pisarz|kompozytor|vem var|hvem var|forfattare|forfatter|kuka oli|kdo byl|kimdir|кто такой|\
        кто такая|кто был|кто написал|писатель|поэт|композитор|роман|когда родился|ποιος ηταν|من هو|من كان|متى ولد|\
        诗人|作家|哪个朝代|是谁|小说|作曲家|小説|歴史|とは誰",
    ),
    (
        Cue::Owner,
        "i was diagnosed|ive been diagnosed|i have been diagnosed|i got diagnosed|diagnosed me|diagnosed with|\
        i suffer from|i take|im taking|i am taking|i was taking|i started|im on|i am on|ive had|ive been|i had|\
        i tested|tested positive|came back positive|my diagnosis|my doctor|my therapist|my psychiatrist|my gp|\
        my oncologist|my meds|my medication|my prescription|my blood test|my mother|my mom|my mum|my father|my dad|\
        my mothers|my moms|my mums|my fathers|my dads|my wifes|my husbands|my son|my sons|my daughter|my daughters|\
        my wife|my husband|my partner|my brother|my sister|my child|my kid|my baby|my grandmother|my grandma|\
        my grandfather|my grandpa|my uncle|my aunt|my friend|my boss|my boyfriend|my girlfriend|my coworker|\
        my colleague|the patient|our patient|this patient|patient is|patient has|patient presents|patient complains|\
        patient with|pt|he was diagnosed|she was diagnosed|hes on|shes on|he is on|she is on|he suffers|she suffers|\
        treated me|i was hospitalized|i was admitted|i had surgery|operated on me|ich habe|ich nehme|ich leide|\
        bei mir wurde|mir wurde|meine mutter|mein vater|meine frau|mein mann|mein sohn|meine tochter|meine diagnose|\
        der patient|die patientin|der mitarbeiter|jai|je prends|je souffre|on ma diagnostique|ma mere|mon pere|\
        mon mari|ma femme|mon fils|ma fille|le patient|la patiente|tengo|tomo|sufro|padezco|me diagnosticaron|\
        me operaron|me han diagnosticado|mi madre|mi padre|mi hijo|mi hija|mi esposa|mi marido|el paciente|\
        la paciente|prendo|soffro di|mi hanno diagnosticato|mia madre|mio padre|mio figlio|mia figlia|il paziente|\
        la paziente|fui diagnosticado|fui diagnosticada|sofro de|tenho|minha mae|meu pai|meu filho|minha filha|\
        o paciente|a paciente|ik heb|ik slik|ik lijd aan|mijn moeder|mijn vader|mijn dochter|mijn zoon|choruje na|\
        zdiagnozowano|u mnie|moja mama|moj ojciec|jag har|jag ater|min mamma|min pappa|jeg har|minulla on|\
        mam stwierdzono|bende|bana|hastanin|annem|babam|у меня|я принимаю|мне поставили|моя мама|мой отец|моя дочь|\
        мой сын|пациент|пациентка|жалуется|我最近|我被|我在吃|我确诊|我得了|我患|我妈|我爸|我儿子|我女儿|患者|病人|\
        母は|父は|と診断され|私は|患者は|저는|진단받|어머니가|아버지가|환자|मुझे|मेरी माँ|मरीज़|أعاني|أمي|أبي|المريضة|\
        المريض|تعاني",
    ),
    (
        Cue::Near,
        "my|i have|i am|im|i ve|ive|she has|he has|hes|shes|his|her|mein|meine|meiner|meinen|ich bin|mon|ma|mes|\
        je suis|mi|mis|estoy|soy|mia|mio|sono|meu|minha|estou|mijn|ik ben|moja|moje|jestem|min|mitt|我|我的|я|мой|моя|\
        私の",
    ),
    (
        Cue::Topic,
        "essay|paper|thesis|article|book|novel|research|question about|questions about|speech|talk about|presentation|\
        story|poem|quiz|exam|homework|lecture|podcast|documentary|aufsatz|referat|hausarbeit|frage zu|expose|\
        dissertation|ensayo|trabajo sobre|tema|saggio|tesi|redacao|werkstuk|referat|сочинение|реферат|论文|作文|\
        レポート|에세이",
    ),
    (
        Cue::Clinical,
        "dx|rx|hx|qhs|mrn|medical record|year old male|year old female|year old man|year old woman|presents with|\
        complains of|lab results|discharge summary|discharge|admitted|vital signs|chief complaint|on metformin|出院|\
        入院|主诉|anamnese|befund|arztbrief|epicrisi|compte rendu|эпикриз|выписка|退院|퇴원|boln|sevk",
    ),
    (
        Cue::Condition,
        "hiv|aids|blood pressure|cholesterol|ramipril|lamotrigine|venlafaxine|mirtazapine|bupropion|wellbutrin|\
        amlodipine|losartan|metoprolol|atorvastatin|statin|statins|omeprazole|gabapentin|pregabalin|methotrexate|\
        humira|insulin pump|antibiotics|chlamydia|stds|ulcer|gout|psoriasis|eczema|celiac|thyroid|hypothyroidism|\
        sclerosis|scoliosis|sciatica|tinnitus|glaucoma|cataract|deaf|blind|wheelchair|amputation|overdose|overdosed|\
        hospitalized|icu|surgery|mastectomy|hysterectomy|vasectomy|circumcision|transgender|hormone therapy|autisme|\
        adhs|hartaanval|suikerziekte|hoge bloeddruk|borstkanker|astma|epilepsi|diabete|hipotiroidismo|asma|alergia|\
        colesterol|tiroide|ipotiroidismo|hipertensao|diabetes tipo|schilddruse|bandscheibenvorfall|magersucht|sucht|\
        alkoholiker|angstzustande|depressionen|hypertension arterielle|depression nerveuse|anorexie|alcoolique|\
        seropositif|cancer|carcinoma|tumor|tumour|leukemia|leukaemia|lymphoma|melanoma|diabetes|diabetic|insulin|\
        metformin|hypertension|depression|depressed|bipolar|schizophrenia|psychosis|ptsd|ocd|adhd|autism|autistic|\
        anxiety|panic attacks|panic disorder|anorexia|bulimia|eating disorder|suicidal|self harm|alcoholic|alcoholism|\
        addiction|addicted|rehab|relapse|epilepsy|seizures|stroke|dementia|alzheimers|parkinsons|multiple sclerosis|\
        als|lupus|arthritis|fibromyalgia|crohns|colitis|ibs|asthma|copd|pneumonia|tuberculosis|hepatitis|herpes|\
        chlamydia|syphilis|gonorrhea|std|sti|pregnant|pregnancy|miscarriage|abortion|ivf|infertility|endometriosis|\
        pcos|menopause|erectile dysfunction|heart attack|heart failure|arrhythmia|pacemaker|angina|chest pain|\
        kidney failure|dialysis|transplant|cirrhosis|anemia|anaemia|migraine|migraines|hernia|concussion|fracture|\
        biopsy|mri|chemo|chemotherapy|radiotherapy|antidepressant|antidepressants|ssri|sertraline|zoloft|fluoxetine|\
        prozac|escitalopram|lexapro|citalopram|lithium|olanzapine|quetiapine|seroquel|risperidone|xanax|alprazolam|\
        diazepam|lorazepam|adderall|vyvanse|ritalin|methylphenidate|oxycodone|tramadol|fentanyl|methadone|warfarin|\
        levothyroxine|lisinopril|ozempic|prednisone|viagra|prep|hba1c|creatinine|ca 125|psa level|viral load|therapy|\
        depressionen|krebs|brustkrebs|zucker|diabetiker|panikattacken|angststorung|schwanger|schwangerschaft|\
        fehlgeburt|bluthochdruck|schlaganfall|herzinfarkt|burnout|sertralin|epilepsie|demenz|krank|rheuma|\
        sclerose en plaques|cancer du sein|diabete|diabetique|enceinte|fausse couche|depressif|depressive|burn out|\
        tension|crises dangoisse|infarctus|epilepsie|vih|cancer de mama|diabetico|diabetica|embarazada|aborto|\
        depresion|ansiedad|hernia discal|hipertension|infarto|epilepsia|esclerosis multiple|cancro|tumore|diabetico|\
        incinta|depressione|ansia|attacchi di panico|ipertensione|cancer de mama|gravida|depressao|ansiedade|\
        pressao alta|kanker|zwanger|depressie|angststoornis|rak|cukrzyca|ciaza|w ciazy|depresja|nadcisnienie|\
        depression|graviditet|gravid|hjartinfarkt|angest|raskaana|masennus|seker hastasi|seker hastaligi|hamile|\
        kanser|depresyon|рак|диабет|беременна|депрессия|депрессией|инфаркт|одышку|одышка|гипертония|вич|抑郁症|癌|\
        糖尿病|高血压|怀孕|艾滋病|焦虑症|舍曲林|咳嗽|胸痛|うつ病|妊娠|がん|高血圧|암|당뇨|우울증|임신|고혈압|मधुमेह|\
        बुखार|कैंसर|गर्भवती|السكري|سرطان|حامل|اكتئاب|ung thu|tieu duong|dau nguc",
    ),
];

/// Words between an illness and a sure owner, and a weak one.
const OWNER_WORDS_MAX: usize = 10;
const NEAR_WORDS_MAX: usize = 4;

/// How sure an illness is somebody's own beside its owner, and in what looks like a clinical note.
const OWNED: f32 = 0.86;
const NOTED: f32 = 0.7;

/// Reads a text's words; adds somebody's illness to the findings.
pub(super) fn read(text: &str, words: &[Word], findings: &mut Vec<Finding>) -> Subject {
    static LEXICON: LazyLock<Lexicon> =
        LazyLock::new(|| Lexicon::new((0_u16..).zip(CUES.iter().map(|(_, phrases)| *phrases))));
    let mut subject = Subject::default();
    let (mut owner, mut near, mut clinical) = (None::<usize>, None::<usize>, None::<usize>);
    // The last condition: the place behind it, and its bytes.
    let mut told = None::<(usize, usize, usize)>;
    LEXICON.find(text, words, 0, |found| {
        let within = |place: Option<usize>, most: usize| {
            place.is_some_and(|past| found.first.saturating_sub(past) <= most)
        };
        match CUES[usize::from(found.group)].0 {
            Cue::Life => subject.life = true,
            Cue::Public => subject.public = true,
            Cue::Owner => {
                owner = Some(found.past);
                // "It says carcinoma in my mother's letter."
                if let Some((_, start, end)) =
                    told.take().filter(|(past, ..)| within(Some(*past), OWNER_WORDS_MAX))
                {
                    findings.push(Finding { kind: PrivateKind::Health, start, end, strength: OWNED });
                }
            }
            Cue::Near => near = Some(found.past),
            Cue::Topic => (owner, near, told) = (None, None, None),
            Cue::Clinical => clinical = Some(found.past),
            Cue::Condition => {
                let owned = within(owner, OWNER_WORDS_MAX) || within(near, NEAR_WORDS_MAX);
                let noted = within(clinical, OWNER_WORDS_MAX);
                let Some(last) = words.get(found.past - 1) else { return };
                let (start, end) = (words[found.first].start, last.end);
                told = Some((found.past, start, end));
                if owned || noted {
                    let strength = if owned { OWNED } else { NOTED };
                    findings.push(Finding { kind: PrivateKind::Health, start, end, strength });
                }
            }
        }
    });
    subject
}
