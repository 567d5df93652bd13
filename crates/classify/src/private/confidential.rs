//! Requests about matters that are not public: a company's own code, papers, people, customers, and orders to keep
//! something in the house. No span names them, so they are a probability of their own.
//!
//! Owns groups of words and their sum. Refuses to read minds: without a word of possession or secrecy, a subject is public.

use std::sync::LazyLock;

use crate::lexicon::Lexicon;
use crate::words::Word;

/// `(weight, phrases)`: a group counts once.
const GROUPS: &[(f32, &str)] = &[
    // Orders about where the request may go.
    (
        4.0,
        "any external service|no external service|external services|any external api|external provider|external providers|do not let|must not reach|never reach|outside vendor|outside vendors|outside parties|leave this machine|\
        away from the cloud|away from openai|away from chatgpt|do not send|dont send|must not leave|may not leave|\
        should not leave|never leave|stays within|stay within|within our jurisdiction|keep this local|\
        keep this confidential|process this locally|process it locally|process locally|handle locally|locally only|\
        local only|only within our|no cloud|no external|keep on prem|stay on prem|no public api|do not use external|\
        not use external|do not share|dont share|not to be shared|restricted to our|outside the company|\
        off our network|offline only|on our own servers|on our own hardware|our own machines|on device only|\
        in house only|keep it in house|keep this in house|not leave|nothing may go|cloud model|hosted ai|hosted model|\
        third party api|third party service|third party apis|not for distribution|not be shared|not to the cloud|\
        to the cloud|no saas|self hosted only|do not upload|dont upload|do not forward|not forward|not paste|\
        for internal use|internal use only|eyes only|need to know basis|do not log|not log this|nur lokal|\
        lokal verarbeiten|lokal bleiben|an externe|nicht in die cloud|keine cloud|nicht weiterleiten|nur intern|\
        nur fur den internen|im haus bleiben|haus nicht verlassen|uniquement en local|en local uniquement|\
        aucun service externe|services externes|ne pas envoyer|ne lenvoie|ne pas partager|rester en interne|\
        usage interne|hors du cloud|pas dans le cloud|solo uso interno|uso interno|en la nube|servicios externos|\
        no envies|no enviar|no debe salir|no salga|de forma local|solo en local|uscire dallazienda|non devono uscire|\
        non deve uscire|non inviare|non condividere|solo in locale|nao enviar|nao compartilhar|nao deve sair|\
        apenas localmente|niet delen|niet naar de cloud|alleen lokaal|lokaal verwerken|nie wysylaj|nie udostepniaj|\
        tylko lokalnie|dela inte|bara lokalt|только локально|не отправлять|не передавать|в облако|для служебного|\
        本机处理|不得上传|不要上传|云端|外传|外部に送信しない|外部に送ら|社外に出さ|ローカルで処理|ローカルのみ|\
        外部に出さ|외부로 보내지|로컬에서만|클라우드로 보내지|외부 유출|buluta gonderme|disari cikmasin|\
        dis servislere|محليا فقط|केवल स्थानीय|nicht weitergeben|darf das haus nicht|vertraulich behandeln|\
        ne pas diffuser|no compartir|本地处理|不要将|不要发送|不离开|仅在本地|不能调用任何外部|不离开公司|社外秘|\
        не отправляй",
    ),
    // Places inside the house, and words that make an order of them.
    (
        2.0,
        "on prem|on premises|on premise|onprem|in house|secure enclave|sovereign|air gapped|cross border|our local|\
        local cluster|our servers|our own servers|our hardware|inside our|behind our firewall|intranet|within our|\
        im eigenen haus|hausintern|sur site|sur nos serveurs|en nuestras instalaciones|nuestros servidores|\
        nei nostri server|本地|内网|オンプレ|자체 서버|на наших серверах",
    ),
    (
        1.0,
        "keep|keep this|process|must|only|stay|stays|run this|handle|handled|do not|dont|restricted|required|never|\
        please|nothing|solely|exclusively|bitte|nur|muss|uniquement|seulement|solo|debe|deve|solamente|tylko|alleen|\
        только|请|仅|必须|のみ|만",
    ),
    // Words of secrecy.
    (
        2.2,
        "confidential|proprietary|internal|closed source|under nda|covered by nda|covered by an nda|unannounced|\
        unfiled|undisclosed|still secret|top secret|our secret|not yet public|not yet announced|pre announcement|\
        privileged|private code|company only|firmeneigen|firmeneigene|firmeneigenen|hauseigen|hauseigene|hauseigenen|\
        streng vertraulich|betriebsgeheimnis|geschaftsgeheimnis|unveroffentlicht|unveroffentlichte|proprietaire|\
        non publie|secret de fabrication|propietario|no publicado|reservada|reservado|propietaria|proprietario|\
        proprietaria|riservata|riservati|riservate|aziendale|sigilosa|sigiloso|interne notitie|wewnetrzny|wewnetrzna|\
        wewnetrzne|konfidentiell|konfidentiellt|fortrolig|luottamuksellinen|duverny|коммерческая тайна|внутреннего|\
        внутренней|конфиденциальный|конфиденциальная|대외비|사내|내부 문서|ic yazisma|gizlidir|داخلي|سرية|गोपनीय|\
        社外秘|極秘|部外秘|保密|绝密|trade secret|trade secrets|unreleased|unpublished|classified|restricted access|\
        nda|under embargo|sensitive|not public|private repository|private repo|private enterprise|private production|\
        private wafer|our private|company confidential|strictly private|vertraulich|vertrauliche|vertraulichen|intern|\
        interne|internen|interner|geheim|confidentiel|confidentielle|interno|interna|confidencial|riservato|\
        vertrouwelijk|poufne|机密|内部|专有|未公开|未发表|私有|社内|機密|конфиденциально|внутренний|سري|기밀|gizli",
    ),
    // Possession by a house.
    (
        1.25,
        "our|our company|our companys|my company|my companys|the company|company|my employer|my team|our team|\
        my clients|our clients|my client|client data|we|ours|of ours|our firm|my firm|family firm|our startup|\
        my startup|our organisation|our organization|our department|my department|our business|firma|unternehmen|\
        notre societe|notre entreprise|societe|entreprise|nuestra empresa|mi empresa|la empresa|empresa|azienda|\
        la mia azienda|ditta|minha empresa|ons bedrijf|bedrijf|naszej|naszego|var|vart|vara|vores|нашего|нашу|нашем|\
        компании|我司|本公司|우리|회사|bizim|unser|unsere|unserem|unserer|unseren|notre|nos|nuestro|nuestra|nuestros|\
        nuestras|nostro|nostra|nosso|nossa|onze|nasz|nasza|我们|公司|企业|弊社|当社|наш|наша|нашей|شركتنا|हमारी|\
        우리 회사|sirketimiz|employee|employees|staff|personnel|colleagues|员工|人事",
    ),
    // Papers and plans of a house.
    (
        1.5,
        "incident review|post mortem|steering committee|works council|betriebsrat|betriebsratssitzung|geschaftsleitung|\
        comite|acta|verbale|notulen|directie|notatki|protokol|протокол|совещания|отчет|経営会議|議事録|稟議|회의록|\
        보고서|board paper|board papers|white paper draft|business plan|quarterly figures|term sheet|cap table|\
        takeover|reorganisation|restructuring|price list|sales pipeline|policy draft|strategie tarifaire|tarifaire|\
        estrategia|strategia|preisliste|kalkulation|umsatzzahlen|memo|board|minutes|meeting notes|meeting transcript|\
        transcript|standup notes|all hands|leadership|postmortem|runbook|incident report|roadmap|rfc|decision record|\
        due diligence|acquisition|acquisition strategy|budget projections|budget|financial projections|\
        financial reports|financial data|revenue projections|revenue|earnings call|investor|investors|go to market|\
        pricing strategy|competitive analysis|competitive positioning|compensation|benchmarking data|\
        vendor negotiation|procurement|market research|contract|contracts|meeting recording|planning meeting|\
        compliance documentation|marketing campaigns|vorstand|sitzungsprotokoll|umsatz|strategie|\
        conseil d administration|consejo|会议|董事会|营收|定价|投资者|战略|设计文档|架构评审|复盘|竞争对手",
    ),
    // Papers that are nobody else's business by what they are.
    (
        1.3,
        "budget projections|revenue projections|financial projections|financial reports|quarterly revenue|\
        fiscal year budget|due diligence|earnings call|meeting transcript|meeting notes|board memo|\
        compensation benchmarking|pricing experiments|acquisition targets|m a|roi data|our novel|fabrication process|\
        process parameters|unresolved action items|internal hostnames|team meeting|会议的要点|会议纪要|备忘录|董事会|\
        营收预测|投资者的|并购|管理层",
    ),
    // What a house makes and runs.
    (
        1.4,
        "source code|codebase|code base|monorepo|stored procedure|billing service|pricing engine|firmware|blueprint|\
        schematics|process sheet|etching|our service|our app|our api|private repo|git repo|production cluster|\
        production kubernetes|production servers|production logs|network layout|topology|hostnames|active directory|\
        patent draft|lab notebook|invention disclosure|rezeptur|produktionsdatenbank|produktionsserver|netzplan|\
        patentanmeldung|algorithme|brevet|base de donnees|infrastructure|algoritmo|patente|codice sorgente|brevetto|\
        codigo|broncode|kod zrodlowy|исходный код|исходного кода|алгоритм|патент|ソースコード|特許|設計図|소스 코드|\
        소스코드|특허|kaynak kod|kaynak kodu|源代码|源码|配方|图纸|repository|sdk|algorithm|algorithms|pipeline|\
        patent|patents|patent application|formula|invention|research paper draft|research findings|manufacturing|fab|\
        chip yield|wafer|recommendation engine|production system|production environment|production database|\
        production infrastructure|production clusters|production outage|network configuration|database schema|schema|\
        deployment|helm charts|service mesh|endpoint|endpoints|credentials|jdbc|data center|datacenter|kubernetes|\
        infrastructure|monitoring dashboard|capacity planning|mac address|ip address|system logs|disaster recovery|\
        pull request|microservice|message queue|legacy code|quellcode|code source|codigo fuente|代码|代码库|仓库|专利|\
        算法|生产环境|集群|网络拓扑|芯片|流水线|论文草稿|推荐引擎|基础设施|研究草稿",
    ),
    // The same by words that others use as well.
    (
        0.9,
        "management|figures|forecast|forecasts|margin|margins|bid|tender|claims|entwurf|recipe|yield|formula|backend|\
        back end|vpn|firewall|prototype|recette|receta|production|our class|our module|direction|direccion|reunion|\
        riunione|reuniao|conseil|ata|angebot|protokoll|compte rendu|verfahren|servidor|servidores|depot|offsite|\
        playbook|layoffs|layoff|acquire|merger",
    ),
    // Lists of people and what belongs to them.
    (
        2.7,
        "our customers|our clients|our subscribers|our patients|our employees|our members|our users|our tenants|\
        our donors|my employees|my patients|my customers|my tenants|my students|member of my staff|crm dump|\
        crm export|ledger extract|hr sheet|hr file|sick days|sick leave|behind on payments|unsere kunden|\
        unserer kunden|unsere mitarbeiter|unserer mitarbeiter|kundenexport|gehalter|gehaltsliste|gehaltsdaten|\
        krankentage|nos clients|nos abonnes|nos membres|nos adherents|nos locataires|nos patients|nos eleves|\
        unsere patienten|unserer patienten|unsere abonnenten|unsere mieter|unserer abteilung|nuestros suscriptores|\
        nuestros pacientes|nuestros socios|nostri abbonati|nostri pazienti|nossos assinantes|nossos pacientes|\
        onze leden|onze patienten|naszych klientow|nasi klienci|vara kunder|vores kunder|наших пациентов|nos employes|\
        nos salaries|fichier client|fichier clients|salaires|fiches de paie|nuestros clientes|nuestros empleados|\
        nominas|nomina|expediente|expedientes|historial medico|nostri clienti|nostri dipendenti|buste paga|\
        nossos clientes|nossos funcionarios|folha de pagamento|dados de clientes|dados pessoais|klantgegevens|\
        onze klanten|personeelsdossier|dane klientow|dane osobowe|kunddata|kundregister|personuppgifter|\
        наших клиентов|сотрудников|зарплаты|медицинские карты|顧客データ|顧客リスト|社員|給与|고객 정보|고객 데이터|\
        직원|개인정보|급여|musteri|personel|工资|薪资|订单和联系方式|social security numbers|social security number|\
        passport numbers|phone numbers and email|email addresses and phone|employee directory|patient records|patient file|patient chart|personnel file|student records|pupil records|client file|client files|tenant list|\
        medical records|medical history|health data|psychotherapy|clinical system|biometric|employee ids|employee id|\
        salary data|salaries|performance ratings|payroll|banking details|applicant tracking|personal contact|\
        contact information|contact list|dates of birth|drivers license|driver s license|hr export|customer list|\
        customer data|customer records|customer database|customer export|customer names|customer contact|\
        customer support ticket|customer feedback dataset|customer billing|customer usage|customer churn|\
        customer analytics|customer base|customer success|crm|user behavior data|user identifiers|personal data|\
        personally identifiable|pii|gdpr|home addresses|mailing addresses|employee satisfaction|employee phone|\
        account level|personnel files|kundendaten|kundenliste|mitarbeiterdaten|personalakte|patientenakte|\
        donnees clients|donnees personnelles|datos de clientes|datos personales|dati dei clienti|dati personali|客户|\
        手机号|邮箱|身份证|病史|病历|员工信息|住址|个人信息|顧客|個人情報|персональные данные|клиентов",
    ),
    // Things that one has at hand.
    (
        0.7,
        "this spreadsheet|this dataset|this export|this data|this list|this report|this document|this file|\
        these records|this function|this module|this code|these notes|this packet|this bundle|this deck|this draft|\
        this intern|the following dataset|access the|export|spreadsheet|dataset|records|这份|这段|数据|档案|この資料",
    ),
    // Signs of a public matter.
    (
        -2.2,
        "是什么|とは|무엇|что такое|как работает|was ist|wie schreibt|quest ce|comment fonctionne|que es|como funciona|\
        cosa e|o que e|wat is|co to jest|what does|what do|whats the|what makes|who invented|public|publicly|\
        open source|generic|hypothetical|textbook|fictional|fiction|dummy|synthetic|toy example|in general|what is|\
        what are|how does|how do i|公开|什么是|假设",
    ),
    // Signs of a question about the world.
    (-1.0, "explain|define|trade offs|tradeoffs|versus|vs|first principles|compare|如何|解释|权衡|比较"),
];

/// The groups of places and of orders.
const PLACES: usize = 1;
const ORDERS: usize = 2;

/// The sum at which a matter is as likely private as not.
const EVEN: f32 = 2.4;

/// How fast the probability rises around that sum: measured on `private-dev.jsonl`, where few sums lie near it.
const SLOPE: f32 = 6.0;

/// The probability that a text is about a matter that is not public.
pub(super) fn confidential(text: &str, words: &[Word]) -> f32 {
    static LEXICON: LazyLock<Lexicon> =
        LazyLock::new(|| Lexicon::new((0_u16..).zip(GROUPS.iter().map(|(_, phrases)| *phrases))));
    let mut seen = [false; GROUPS.len()];
    LEXICON.find(text, words, 0, |found| seen[usize::from(found.group)] = true);
    // An order without a place is no order to stay there.
    seen[ORDERS] &= seen[PLACES];
    let sum: f32 = GROUPS.iter().zip(seen).filter(|(_, seen)| *seen).map(|((weight, _), _)| weight).sum();
    if sum <= 0.0 { 0.0 } else { 1.0 / (1.0 + (-SLOPE * (sum - EVEN)).exp()) }
}
