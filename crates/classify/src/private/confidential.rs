//! Requests about matters that are not public: a company's own code, papers, people, customers, and orders to keep
//! something in the house. No span names them, so they are a probability of their own.
//!
//! Owns groups of words and their sum. Refuses to read minds: without a word of possession or secrecy, a subject is public.

use std::sync::LazyLock;

use crate::lexicon::Lexicon;
use crate::outline::read_part;
use crate::words::words;

/// `(weight, phrases)`: a group counts once.
const GROUPS: &[(f32, &str)] = &[
    // Orders about where the request may go.
    (
        4.0,
        "on prem|on premises|on premise|do not send|dont send|must not leave|may not leave|should not leave|never leave|stays within|\
        stay within|within our jurisdiction|cross border|keep this local|keep this confidential|process this locally|\
        process it locally|process locally|handle locally|locally only|local only|only within our|no cloud|no external|\
        no public api|do not use external|not use external|do not share|dont share|not to be shared|secure enclave|sovereign|\
        restricted to our|our local|local cluster|air gapped|outside the company|off our network|\
        nicht weitergeben|darf das haus nicht|vertraulich behandeln|ne pas diffuser|no compartir|本地处理|不要将|不要发送|不离开|\
        仅在本地|不能调用任何外部|不离开公司|社外秘|не отправляй",
    ),
    // Words of secrecy.
    (
        2.2,
        "confidential|proprietary|internal|trade secret|trade secrets|unreleased|unpublished|classified|restricted access|nda|\
        under embargo|sensitive|not public|private repository|private repo|private enterprise|private production|private wafer|\
        our private|company confidential|strictly private|vertraulich|vertrauliche|vertraulichen|intern|interne|internen|interner|\
        geheim|confidentiel|confidentielle|interno|interna|confidencial|riservato|vertrouwelijk|poufne|机密|内部|专有|未公开|\
        未发表|私有|社内|機密|конфиденциально|внутренний|سري|기밀|gizli",
    ),
    // Possession by a house.
    (
        1.25,
        "our|our company|our companys|my company|my companys|the company|company|my employer|my team|our team|my clients|our clients|\
        my client|client data|we|unser|unsere|unserem|unserer|unseren|notre|nos|nuestro|nuestra|nuestros|nuestras|nostro|nostra|\
        nosso|nossa|onze|nasz|nasza|我们|公司|企业|弊社|当社|наш|наша|нашей|شركتنا|हमारी|우리 회사|sirketimiz|employee|employees|\
        staff|personnel|colleagues|员工|人事",
    ),
    // Papers and plans of a house.
    (
        1.5,
        "memo|board|minutes|meeting notes|meeting transcript|transcript|standup notes|all hands|leadership|postmortem|runbook|\
        incident report|roadmap|rfc|decision record|due diligence|acquisition|acquisition strategy|budget projections|\
        budget|financial projections|financial reports|financial data|revenue projections|revenue|earnings call|investor|investors|\
        go to market|pricing strategy|competitive analysis|competitive positioning|compensation|benchmarking data|vendor negotiation|\
        procurement|market research|contract|contracts|meeting recording|planning meeting|compliance documentation|marketing campaigns|\
        vorstand|sitzungsprotokoll|umsatz|strategie|conseil d administration|consejo|会议|董事会|营收|定价|投资者|战略|设计文档|\
        架构评审|复盘|竞争对手",
    ),
    // Papers that are nobody else's business by what they are.
    (
        1.3,
        "budget projections|revenue projections|financial projections|financial reports|quarterly revenue|fiscal year budget|\
        due diligence|earnings call|meeting transcript|meeting notes|board memo|compensation benchmarking|pricing experiments|\
        acquisition targets|m a|roi data|our novel|fabrication process|process parameters|unresolved action items|\
        internal hostnames|team meeting|会议的要点|会议纪要|备忘录|董事会|营收预测|投资者的|并购|管理层",
    ),
    // What a house makes and runs.
    (
        1.4,
        "source code|codebase|monorepo|repository|sdk|algorithm|algorithms|pipeline|patent|patents|patent application|formula|\
        invention|research paper draft|research findings|manufacturing|fab|chip yield|wafer|recommendation engine|production system|\
        production environment|production database|production infrastructure|production clusters|production outage|network configuration|\
        database schema|schema|deployment|helm charts|service mesh|endpoint|endpoints|credentials|jdbc|data center|datacenter|\
        kubernetes|infrastructure|monitoring dashboard|capacity planning|mac address|ip address|system logs|disaster recovery|\
        pull request|microservice|message queue|legacy code|quellcode|code source|codigo fuente|代码|代码库|仓库|专利|算法|\
        生产环境|集群|网络拓扑|芯片|流水线|论文草稿|推荐引擎|基础设施|研究草稿",
    ),
    // Lists of people and what belongs to them.
    (
        2.7,
        "social security numbers|social security number|passport numbers|phone numbers and email|email addresses and phone|\
        employee directory|patient records|medical records|medical history|health data|psychotherapy|clinical system|biometric|\
        employee ids|employee id|salary data|salaries|performance ratings|payroll|banking details|applicant tracking|\
        personal contact|contact information|contact list|dates of birth|drivers license|driver s license|hr export|customer list|\
        customer data|customer records|customer database|customer export|customer names|customer contact|customer support ticket|\
        customer feedback dataset|customer billing|customer usage|customer churn|customer analytics|customer base|customer success|\
        crm|user behavior data|user identifiers|personal data|personally identifiable|pii|gdpr|home addresses|mailing addresses|\
        employee satisfaction|employee phone|account level|personnel files|kundendaten|kundenliste|mitarbeiterdaten|personalakte|\
        patientenakte|donnees clients|donnees personnelles|datos de clientes|datos personales|dati dei clienti|dati personali|\
        客户|手机号|邮箱|身份证|病史|病历|员工信息|住址|个人信息|顧客|個人情報|персональные данные|клиентов",
    ),
    // Things that one has at hand.
    (
        0.7,
        "this spreadsheet|this dataset|this export|this data|this list|this report|this document|this file|these records|\
        this function|this module|this code|these notes|this packet|this bundle|this deck|this draft|this intern|the following dataset|\
        access the|export|spreadsheet|dataset|records|这份|这段|数据|档案|この資料",
    ),
    // Signs of a public matter.
    (
        -2.2,
        "public|publicly|open source|generic|hypothetical|textbook|fictional|fiction|dummy|synthetic|toy example|in general|what is|\
        what are|how does|how do i|公开|什么是|假设",
    ),
    // Signs of a question about the world.
    (-1.0, "explain|define|trade offs|tradeoffs|versus|vs|first principles|compare|如何|解释|权衡|比较"),
];

/// The sum at which a matter is as likely private as not.
const EVEN: f32 = 2.55;

/// The probability that a text is about a matter that is not public.
pub(super) fn confidential(text: &str) -> f32 {
    static LEXICON: LazyLock<Lexicon> =
        LazyLock::new(|| Lexicon::new((0_u16..).zip(GROUPS.iter().map(|(_, phrases)| *phrases))));
    let text = read_part(text);
    let words = words(&text);
    let mut seen = [false; GROUPS.len()];
    LEXICON.find(&text, &words, 0, |found| seen[usize::from(found.group)] = true);
    let sum: f32 = GROUPS.iter().zip(seen).filter(|(_, seen)| *seen).map(|((weight, _), _)| weight).sum();
    if sum <= 0.0 { 0.0 } else { 1.0 / (1.0 + (-1.8 * (sum - EVEN)).exp()) }
}
