BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'digits');
INSERT INTO "studies" VALUES(2,'digits.finalize');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'spec','{"objective": "digits-cnn", "model": null, "options": {}, "source": "ada3cf09466313ca5a9e07405677b847ed72037ce7eb79a203977d0d017aea83", "data": "64b7511963e67f7ae1d61ca4d822b8fcaf823f45fa42f4e8a78ff39636b1752b", "space": [{"name": "n_blocks", "choices": [1]}, {"name": "filters_1", "choices": [3, 4]}, {"name": "kernel", "choices": [3]}, {"name": "dropout", "type": "float", "low": 0.1, "high": 0.3}, {"name": "dense_units", "choices": [8]}, {"name": "optimizer", "choices": ["adam", "rmsprop"]}, {"name": "learning_rate", "type": "float", "low": 0.0015, "high": 0.01, "log": true, "when": {"optimizer": ["adam", "rmsprop"]}}, {"name": "batch_size", "choices": [16]}, {"name": "label_smoothing", "type": "float", "low": 0.02, "high": 0.1}, {"name": "schedule", "choices": ["cosine", "one_cycle"]}, {"name": "shift", "type": "float", "low": 0.03, "high": 0.1}, {"name": "rotation", "type": "float", "low": 4.0, "high": 15.0}, {"name": "zoom", "type": "float", "low": 0.03, "high": 0.12}], "direction": "minimize", "seed": 11, "epochs": 2, "precision": "float32", "threads": 1, "deterministic": true, "sampler": "random", "pruner": "none", "timeout_s": null, "grace_s": 60.0, "heartbeat_s": 15.0, "max_attempts": 3, "trial_timeout_s": null, "checkpoint_every": 1, "keep_checkpoints": "best", "refits": null, "refits_token": null, "metric": "log_loss", "backend": "tensorflow"}');
INSERT INTO "study_user_attributes" VALUES(2,1,'token','"49d41874ea4ad7b6eb109942b35bbf53"');
INSERT INTO "study_user_attributes" VALUES(3,1,'versions','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "study_user_attributes" VALUES(4,1,'created_by','"root@vm"');
INSERT INTO "study_user_attributes" VALUES(5,1,'created_at','"2026-11-30T18:46:35.947000"');
INSERT INTO "study_user_attributes" VALUES(6,1,'data_dir','"@FOLDER@/data"');
INSERT INTO "study_user_attributes" VALUES(7,1,'expected_trial_s','0.27946694379425024');
INSERT INTO "study_user_attributes" VALUES(8,1,'n_slots','3');
INSERT INTO "study_user_attributes" VALUES(9,1,'work_dir','"0917c9343e8bb0e8"');
INSERT INTO "study_user_attributes" VALUES(10,1,'used','{"used_s": 26.375, "at": null}');
INSERT INTO "study_user_attributes" VALUES(11,2,'spec','{"objective": "digits-cnn", "model": null, "options": {}, "source": "ada3cf09466313ca5a9e07405677b847ed72037ce7eb79a203977d0d017aea83", "data": "64b7511963e67f7ae1d61ca4d822b8fcaf823f45fa42f4e8a78ff39636b1752b", "space": [{"name": "candidate", "type": "int", "low": 0, "high": 100000000}, {"name": "epochs", "type": "int", "low": 1, "high": 1000000}, {"name": "n_folds", "type": "int", "low": 2, "high": 1000}, {"name": "split", "type": "int", "low": 0, "high": 1000000}, {"name": "fold", "type": "int", "low": 0, "high": 1000}, {"name": "member", "type": "int", "low": 0, "high": 1000000}, {"name": "stop", "type": "int", "low": 0, "high": 1000000, "when": {"fold": [0]}}], "direction": "minimize", "seed": 11, "epochs": 2, "precision": "float32", "threads": 1, "deterministic": true, "sampler": "random", "pruner": "none", "timeout_s": null, "grace_s": 60.0, "heartbeat_s": 15.0, "max_attempts": 3, "trial_timeout_s": null, "checkpoint_every": 1, "keep_checkpoints": "best", "refits": "digits", "refits_token": "49d41874ea4ad7b6eb109942b35bbf53", "metric": "log_loss", "backend": "tensorflow"}');
INSERT INTO "study_user_attributes" VALUES(12,2,'token','"3597fdd256c8c5677b2ac359899c5cfa"');
INSERT INTO "study_user_attributes" VALUES(13,2,'versions','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "study_user_attributes" VALUES(14,2,'created_by','"root@vm"');
INSERT INTO "study_user_attributes" VALUES(15,2,'created_at','"2026-11-30T18:47:11.731000"');
INSERT INTO "study_user_attributes" VALUES(16,2,'data_dir','"@FOLDER@/data"');
INSERT INTO "study_user_attributes" VALUES(17,2,'expected_trial_s','null');
INSERT INTO "study_user_attributes" VALUES(18,2,'n_slots','5');
INSERT INTO "study_user_attributes" VALUES(19,2,'effort','{"top_k": 2, "folds": 2, "repeats": 1, "longer": 1, "seeds": 1, "ensemble": 1}');
INSERT INTO "study_user_attributes" VALUES(20,2,'n_added','5');
INSERT INTO "study_user_attributes" VALUES(21,2,'work_dir','"9e30f10a8ae50e15"');
INSERT INTO "study_user_attributes" VALUES(22,2,'used','{"used_s": 50.304, "at": null}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_heartbeats" VALUES(1,1,'2026-11-30 18:46:37.678000');
INSERT INTO "trial_heartbeats" VALUES(2,2,'2026-11-30 18:46:45.758000');
INSERT INTO "trial_heartbeats" VALUES(3,3,'2026-11-30 18:46:55.631000');
INSERT INTO "trial_heartbeats" VALUES(4,4,'2026-11-30 18:47:32.607000');
INSERT INTO "trial_heartbeats" VALUES(5,5,'2026-11-30 18:48:26.312000');
INSERT INTO "trial_heartbeats" VALUES(6,6,'2026-11-30 18:48:26.679000');
INSERT INTO "trial_heartbeats" VALUES(7,7,'2026-11-30 18:48:29.669000');
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,1.45190511611781825074e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,1.47594620583886837472e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,0,1.45555368799055662165e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,1.54741052574043713718e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,3,0,1.30043857877920476795e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,3,1,1.21522488112373894253e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,5,0,1.16841863421275116152e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,5,1,1.13584651683186765858e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,6,0,1.27059591949026895463e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,6,1,1.16166289826240887173e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,7,0,1.38194718450168796408e+00,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(2,1,'filters_1',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(3,1,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(4,1,'dropout',1.75362550422415941486e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(5,1,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(6,1,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(7,1,'learning_rate',2.25003703471453276804e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(8,1,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(9,1,'label_smoothing',3.03971559213660827425e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(10,1,'schedule',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(11,1,'shift',4.1954775562154114632e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(12,1,'rotation',6.92072975929356193347e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(13,1,'zoom',9.61379958280159929717e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
INSERT INTO "trial_params" VALUES(14,2,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(15,2,'filters_1',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(16,2,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(17,2,'dropout',2.65673687654559564919e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(18,2,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(19,2,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(20,2,'learning_rate',3.33254501550739497262e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(21,2,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(22,2,'label_smoothing',7.44434516639412291461e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(23,2,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(24,2,'shift',9.63106034092048590711e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(25,2,'rotation',1.16478105609034230381e+01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(26,2,'zoom',7.18768637862802761695e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
INSERT INTO "trial_params" VALUES(27,3,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(28,3,'filters_1',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(29,3,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(30,3,'dropout',2.5200315564877173724e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(31,3,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(32,3,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(33,3,'learning_rate',7.73568350991664203941e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(34,3,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(35,3,'label_smoothing',8.10088443249097761578e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(36,3,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(37,3,'shift',6.45339166751513204633e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(38,3,'rotation',9.76003548828102,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(39,3,'zoom',5.62608419280932192663e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
INSERT INTO "trial_params" VALUES(40,4,'candidate',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 100000000}}');
INSERT INTO "trial_params" VALUES(41,4,'epochs',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(42,4,'n_folds',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 1000}}');
INSERT INTO "trial_params" VALUES(43,4,'split',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(44,4,'fold',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000}}');
INSERT INTO "trial_params" VALUES(45,4,'member',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(46,4,'stop',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(47,5,'candidate',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 100000000}}');
INSERT INTO "trial_params" VALUES(48,5,'epochs',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(49,5,'n_folds',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 1000}}');
INSERT INTO "trial_params" VALUES(50,5,'split',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(51,5,'fold',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000}}');
INSERT INTO "trial_params" VALUES(52,5,'member',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(53,6,'candidate',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 100000000}}');
INSERT INTO "trial_params" VALUES(54,6,'epochs',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(55,6,'n_folds',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 1000}}');
INSERT INTO "trial_params" VALUES(56,6,'split',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(57,6,'fold',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000}}');
INSERT INTO "trial_params" VALUES(58,6,'member',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(59,7,'candidate',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 100000000}}');
INSERT INTO "trial_params" VALUES(60,7,'epochs',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(61,7,'n_folds',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 1000}}');
INSERT INTO "trial_params" VALUES(62,7,'split',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
INSERT INTO "trial_params" VALUES(63,7,'fold',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000}}');
INSERT INTO "trial_params" VALUES(64,7,'member',0.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1000000}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,4,'fixed_params','{"candidate": 2, "epochs": 2, "fold": 0, "n_folds": 2, "split": 0, "member": 0, "stop": 0}');
INSERT INTO "trial_system_attributes" VALUES(2,5,'fixed_params','{"candidate": 2, "epochs": 2, "fold": 1, "n_folds": 2, "split": 0, "member": 0}');
INSERT INTO "trial_system_attributes" VALUES(3,6,'fixed_params','{"candidate": 2, "epochs": 2, "fold": 2, "n_folds": 2, "split": 0, "member": 0}');
INSERT INTO "trial_system_attributes" VALUES(4,7,'fixed_params','{"candidate": 0, "epochs": 2, "fold": 1, "n_folds": 2, "split": 0, "member": 0}');
INSERT INTO "trial_system_attributes" VALUES(5,8,'fixed_params','{"candidate": 0, "epochs": 2, "fold": 2, "n_folds": 2, "split": 0, "member": 0}');
INSERT INTO "trial_system_attributes" VALUES(6,5,'kept:00000','"P)h>@EdT%j2mk;8AplUeY7zhc|NsC0|NjX96aa8+VQFqIZg6=401yBG0ssI2000270RR910001;j?GI{VH}00)S`l*g<>uA8t65f=HB;r&ikfKP}E=_l4#(fB6QTT!Tgx+43i;FNfTHtLnvubYEvMU8_`k0!i7Xao3=#^2o-${*fMGQ7kYN*Ssb1R&28seE^P57eZzKlB;MuOM=bkjkJx_8?iutFUU;B=(Cd!;^Nr!Yc%<Ot(QqtM*tM+pTRh;mMy&s3=P|X$9G>tkN?FegeyV${keEIrJG4TOHB!Vo$~HmsOwz8y1(dUaPf;d+@Ioea)?5@{;1OTxeZ1msWsCaFB6e_1su`8zdcthTR3O9~a+Os)%$y!W-nq<4oMbttkur0V5A-r5pSUDbEHQH!br+FB8BcK)#SF_qch=-on%^)^poYy{$7l7L^YFMAjfL0mcq0j3l1*mROK#vUcX1mX-oz@ZS;q-<3YnA+J!X0_dZ>%*YJty@Vu@r?ES08Hr}@}@h)v0$U2f}JsNe}M<Gg9ZekaKL5@RVfzsPCi)eqfdzRFprpW9WIA*R@bD0dfn18RljH6|p9>+)XD=yzCghFFPOw(=J~Vh;_+q1b?|`$7K&P)h>@EdT%j2mk;8Apo`xPp1F>|NsC0|NjdB6aaH*X=Zd~WG-%Sc>w?r00062000000H^@~000000G*J{OO$aGg`Frw7aB5^5ZMb^lQ1>&-t)X-gThFnL^VVhr9?61IQD_YOc)VCkP-zIgHnq=$Tn>vD#$1-BA89VEGj~16_JQh5z#_HreFU;cXjW>;c)I5OYPaYt0z=3TyZASm&qT_MG{`5wcjF9FVa7hJDE!l9vsT`W&ZKb^znSg@%%vgM8@44X^DC?MZL4$|4#LYO>#+F>Ck?v`KfveI%acB*?rEbnK8|2%Dzw^+*X|}r$GtoSkDVRR7{U41hdxUXYqm?dgE^<Y$cv3MVN8rZI-LSZmsoOXxAuL6sE)yzWQzK&|coEfg?dyEBqcl+XP+OPSItkv?PnR1+fz2hb{QMLD?>FO)-YGno8F3-ijQO$0~L6M;n~$f<D<e-|RBy)ylMLsB$c;4yO-sOAj<@Wex;wD#u6oWuxxX1kcr_I~EUSNHXD9v5dQ#wwD}Ll8?^6Ie4c5e-pL3=Q@h>OsDn17MbU@9{DK-?ItC4@>K1vuSQN;fu+RUeqC!c!z<TB(ci{*+eafcbUR(GOLUQW`|XE<zfem70xbhA000080000X08qAS5wQUP0006200{s900000000000Du7i0001RY+-3`E^csnP)h*<Edwn8000O8001EXwhm9Gr~v=~00IC23jhEB0000000000fC20Q0047nX=Zd~WG-%Sc~DCQ1^@s600IC40B`^R0MP>g0000"');
INSERT INTO "trial_system_attributes" VALUES(7,6,'kept:00000','"P)h>@EdT%j2mk;8Apr1pp_l*v|NsC0|NjX96aa8+VQFqIZg6=401yBG0ssI2000200RR910001;PtQx#aTIhfMFxs`sm18qm*m^V2K(mC+l|l;2Bkz2#Tu&z+4Q?uWXA5AEB=7!Q0%3oYfup#YN4Pm5ha<24oYSz1)XXm1o03g)S>9pztFqQFf(uFMpydS@l2%VV$FCk5ElCL!2vI5%^`?;L2fu-%xBN{4d(~KfBfO>xkBjp!eI77=<puyk9&;8y-DwXuh#6n)M*b_?X>vlW<7Q?WRct0!(M%*XCdt133lV7Hff)=*k{?T8OFGvp&sN*o#siM*KdfjjY+2Q8$a>MzDkjeyvhcY8Q~DmNHd4<%kFEDN41e(u%z$MX6v$#X<p$eWb~S5Ey_E5jX8a4qtcIFMzNutShhEolOqnd$OgtVm3(e{rG$d>&TtmnbzR!|T^CuhiabGvC0y5KOxxDvLc+%sceo9M`b_I}NxRt2imaikbN0fTWD?`t#D}bP4b~*Z6mPPuj~US|yo_D$M+aBzM<R4Nhq%aFXw}Vlga`W8R^@|^utK1$e{k34oo)n|I3smTu*wN^S_~n5G^_9Qx6PM(nBc5Ntm-!Z1yD-^1T6pn00;m803iUKT?Zfk|NsC0|Ns9B02BaoXlZ72Wn?aHaCrd$5C8xI00000005Z*00000005nk%}bPV5XTh~L_wo2MG23v@}w-i%;y`}vQ$WPTNP}Jy<|)KEQK!{&srF!9wN*vBBe+>7$g`Jg`Jk@5JXt^B0(rFUZS#V-onKC^)EE1nGej&XJ)K9nP^RwmRu<5^D{yIbm+%CKb|!|>iOAR*b}C^+jC(i_{Wc?JM)3#`7`Nrfvb0^G3u#4>h*j78x@B&%{a9hS2Jg+RKl9{ll!VvpcJ$Gu!H(Vo6A2l!!2#m3qH`GA{p&ro3<*Y7M6H!NA!hmc}z0KqPpy)9x$P6memZGv|usS@m3!>rVgrAgQo#T6>+>wPqmw6=kY|FbXVW)D;*l*DpgvyDz)-ngX-i8<+^V7SfF%&PB{kI?s^~Tw@uM+NxflMU25kBHO}`jBNQ~M9i-W-c}7&vDsd|Ghm<z#Cf}IVdG&IFh?_I1%{*kvqFUsRhUwKI$3NKttvH)d1zOyH>U2sCykj42tnpI5RXgXRn^)vEbLvro<HVG-h}-kb-TPXvY=v5;nP6TQwUa*LD%WKh1^xn1O928c11$gm00;m803iVIcA=N50RR910ssIB00000000000001h0RR910B~$!X>KlVaCuNm0Rk-pEdT%j2mk;8Apo6S2OpUM00002000XB0000000000004ji<pBTyb7*O1bY)~NZg6=}O9ci10000200IDT0002H0{{R300"');
INSERT INTO "trial_system_attributes" VALUES(8,9,'fixed_params','{"candidate": 0, "epochs": 2, "fold": 1, "n_folds": 2, "split": 0, "member": 0}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'slot','0');
INSERT INTO "trial_user_attributes" VALUES(2,1,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(3,2,'slot','1');
INSERT INTO "trial_user_attributes" VALUES(4,2,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(5,3,'slot','2');
INSERT INTO "trial_user_attributes" VALUES(6,3,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(7,1,'worker','"vm:d4c4d5:3021"');
INSERT INTO "trial_user_attributes" VALUES(8,1,'claim','"9fa088f483a02f6bca39c7a3db439bee"');
INSERT INTO "trial_user_attributes" VALUES(9,1,'seed','1063777319');
INSERT INTO "trial_user_attributes" VALUES(10,1,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(11,1,'info','{"n_epochs": 2.0, "train_s": 4.344957659006468, "images_per_s": 743.6550296389598, "first_step_s": 4.108288783001626, "images": 192.0, "flop": 3962880.0, "valid_accuracy": 0.25, "valid_loss": 1.4759462058388684, "import_s": 0.00025023199850693345, "build_s": 1.5671107419984764, "checkpoint_s": 0.21550240899887285, "first_valid_s": 0.8065147929955856, "valid_s": 0.013942890000180341, "report_s": 0.021280468001350528, "cost_s": 0.6388144360025763}');
INSERT INTO "trial_user_attributes" VALUES(12,1,'ended','"9fa088f483a02f6bca39c7a3db439bee"');
INSERT INTO "trial_user_attributes" VALUES(13,2,'worker','"vm:d4c4d5:3021"');
INSERT INTO "trial_user_attributes" VALUES(14,2,'claim','"336eb9549d0fa1830402a5eb3d6b8ac4"');
INSERT INTO "trial_user_attributes" VALUES(15,2,'seed','919233734');
INSERT INTO "trial_user_attributes" VALUES(16,2,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(17,2,'info','{"n_epochs": 2.0, "train_s": 6.180432882003515, "images_per_s": 674.3001194706736, "first_step_s": 5.919421508999221, "images": 192.0, "flop": 3962880.0, "valid_accuracy": 0.0, "valid_loss": 1.5474105257404371, "import_s": 0.0003079779999097809, "build_s": 1.8539773279990186, "checkpoint_s": 0.22916508000344038, "first_valid_s": 0.5229340080004476, "valid_s": 0.015866126002947567, "report_s": 0.003523573999700602, "cost_s": 0.615527939000458}');
INSERT INTO "trial_user_attributes" VALUES(18,2,'ended','"336eb9549d0fa1830402a5eb3d6b8ac4"');
INSERT INTO "trial_user_attributes" VALUES(19,3,'worker','"vm:d4c4d5:3021"');
INSERT INTO "trial_user_attributes" VALUES(20,3,'claim','"9191a664602037bdfd50d1f57a9ece02"');
INSERT INTO "trial_user_attributes" VALUES(21,3,'seed','1737231722');
INSERT INTO "trial_user_attributes" VALUES(22,3,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(23,3,'info','{"n_epochs": 2.0, "train_s": 4.355765668005915, "images_per_s": 803.7233066543531, "first_step_s": 4.136784834001446, "images": 192.0, "flop": 5935104.0, "valid_accuracy": 0.5, "valid_loss": 1.215224881123739, "import_s": 0.0003176319987687748, "build_s": 1.6862102319973928, "checkpoint_s": 0.18101140300132101, "first_valid_s": 0.8399130649995641, "valid_s": 0.01850086899867165, "report_s": 0.0140184709962341, "cost_s": 0.6937126269986038}');
INSERT INTO "trial_user_attributes" VALUES(24,3,'ended','"9191a664602037bdfd50d1f57a9ece02"');
INSERT INTO "trial_user_attributes" VALUES(25,4,'slot','0');
INSERT INTO "trial_user_attributes" VALUES(26,4,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(27,4,'worker','"vm:2ce4b0:4223"');
INSERT INTO "trial_user_attributes" VALUES(28,4,'claim','"abc5fdab77d1be158b43fa3d824d8b3b"');
INSERT INTO "trial_user_attributes" VALUES(29,4,'seed','888616941');
INSERT INTO "trial_user_attributes" VALUES(30,4,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(31,4,'info','{"n_epochs": 2.0, "train_s": 4.3593070580027415, "images_per_s": 1251.6574326655527, "first_step_s": 4.218693504000839, "images": 192.0, "flop": 5935104.0, "import_s": 19.984782716001064, "build_s": 1.7298732589988504, "checkpoint_s": 0.10000795199812273, "report_s": 0.0012721400016744155, "cost_s": 0.5045095419991412}');
INSERT INTO "trial_user_attributes" VALUES(32,4,'ended','"abc5fdab77d1be158b43fa3d824d8b3b"');
INSERT INTO "trial_user_attributes" VALUES(33,5,'slot','1');
INSERT INTO "trial_user_attributes" VALUES(34,5,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(35,6,'slot','2');
INSERT INTO "trial_user_attributes" VALUES(36,6,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(37,7,'slot','3');
INSERT INTO "trial_user_attributes" VALUES(38,7,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(39,8,'slot','4');
INSERT INTO "trial_user_attributes" VALUES(40,8,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(41,5,'worker','"vm:2385ee:4603"');
INSERT INTO "trial_user_attributes" VALUES(42,5,'claim','"25c59a52ed7a229d767cd63cc0413cc3"');
INSERT INTO "trial_user_attributes" VALUES(43,5,'seed','914613827');
INSERT INTO "trial_user_attributes" VALUES(44,5,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(45,5,'info','{"n_epochs": 2.0, "train_s": 1.977541743995971, "images_per_s": 1048.6139251216343, "first_step_s": 1.9012505579994468, "images": 96.0, "flop": 2967552.0, "valid_accuracy": 0.9166666666666666, "valid_loss": 1.1358465168318677, "import_s": 8.8907840819993, "build_s": 1.319441026000277, "checkpoint_s": 0.1645172780008579, "first_valid_s": 0.34337020000020857, "valid_s": 0.017650396996032214, "report_s": 0.07299862599757034, "cost_s": 0.2505294229995343}');
INSERT INTO "trial_user_attributes" VALUES(46,5,'ended','"25c59a52ed7a229d767cd63cc0413cc3"');
INSERT INTO "trial_user_attributes" VALUES(47,6,'worker','"vm:2385ee:4603"');
INSERT INTO "trial_user_attributes" VALUES(48,6,'claim','"77073b1073e8ad66628837a34dba1b06"');
INSERT INTO "trial_user_attributes" VALUES(49,6,'seed','971627354');
INSERT INTO "trial_user_attributes" VALUES(50,6,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(51,6,'info','{"n_epochs": 2.0, "train_s": 0.5704419519970543, "images_per_s": 2539.4599541889547, "first_step_s": 0.5389391909993719, "images": 96.0, "flop": 2967552.0, "valid_accuracy": 0.7916666666666666, "valid_loss": 1.1616628982624089, "import_s": 0.0003602559991122689, "build_s": 0.8409663940001337, "checkpoint_s": 0.07242167799995514, "first_valid_s": 0.24643641400325578, "valid_s": 0.0060520200022438075, "report_s": 0.019912545998522546, "cost_s": 0.1786772910018044}');
INSERT INTO "trial_user_attributes" VALUES(52,6,'ended','"77073b1073e8ad66628837a34dba1b06"');
INSERT INTO "trial_user_attributes" VALUES(53,7,'worker','"vm:2385ee:4603"');
INSERT INTO "trial_user_attributes" VALUES(54,7,'claim','"299f39577098427f056a02f263b8f4f6"');
INSERT INTO "trial_user_attributes" VALUES(55,7,'seed','1370103221');
INSERT INTO "trial_user_attributes" VALUES(56,7,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(57,7,'reason','"released"');
INSERT INTO "trial_user_attributes" VALUES(58,7,'ended','"299f39577098427f056a02f263b8f4f6"');
INSERT INTO "trial_user_attributes" VALUES(59,9,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(60,9,'slot','3');
INSERT INTO "trial_user_attributes" VALUES(61,9,'reached','0');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,1.47594620583886837472e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,1.54741052574043713718e+00,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,1.21522488112373894253e+00,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,7.29166666666666629659e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,5,0,1.13584651683186765858e+00,'FINITE');
INSERT INTO "trial_values" VALUES(6,6,0,1.16166289826240887173e+00,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 18:46:37.677000','2026-11-30 18:46:45.665000');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-30 18:46:45.758000','2026-11-30 18:46:55.507000');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-30 18:46:55.631000','2026-11-30 18:47:03.786000');
INSERT INTO "trials" VALUES(4,0,2,'COMPLETE','2026-11-30 18:47:17.576000','2026-11-30 18:47:45.254000');
INSERT INTO "trials" VALUES(5,1,2,'COMPLETE','2026-11-30 18:48:11.267000','2026-11-30 18:48:26.602000');
INSERT INTO "trials" VALUES(6,2,2,'COMPLETE','2026-11-30 18:48:26.679000','2026-11-30 18:48:29.642000');
INSERT INTO "trials" VALUES(7,3,2,'FAIL','2026-11-30 18:48:29.669000','2026-11-30 18:48:32.720000');
INSERT INTO "trials" VALUES(8,4,2,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(9,5,2,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX ix_trials_study_id_state_number ON trials (study_id, state, number);
COMMIT;
